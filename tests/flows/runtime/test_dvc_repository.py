"""DVC's databases and project files after a kill, a full disk or a merge: mended, or named with what to do."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from dvc_data.hashfile.cache import HashesCache

from flows.runtime.dvc_repository import open_repository, repair_repository
from flows.runtime.stage_graph import StageGraph
from lmcore.errors import UserError
from tests.sample_project import Sample

# DVC calls a library in a way that this library is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

LOCK = """schema: '2.0'
stages:
  collect:
    cmd: python -m sample.collect
    deps:
    - path: sample/collect.py
      hash: md5
      md5: 42d628fd168edcdd1a0dcd1dbad236db
      size: 1
"""


@pytest.fixture(scope="module")
def empty_project(make_sample: Callable[..., Sample]) -> Path:
    folder = make_sample().folder
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")
    (folder / "dvc.lock").write_text(LOCK)
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
    subprocess.run(["git", *identity, "commit", "--quiet", "-m", "all"], cwd=folder, check=True)
    return folder


@pytest.fixture
def project(empty_project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A DVC project with a committed ``dvc.lock``, as the current folder."""
    monkeypatch.chdir(empty_project)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(empty_project / ".work" / "dvc"))
    yield empty_project
    subprocess.run(["git", "checkout", "--quiet", "."], cwd=empty_project, check=True)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "dvc.lock is empty"),
        ("\n\n", "dvc.lock is empty"),
        (f"<<<<<<< HEAD\n{LOCK}=======\n{LOCK}>>>>>>> other\n", "dvc.lock contains the conflict markers of a merge"),
        (LOCK[: LOCK.index("th: sample")], "dvc.lock is damaged"),
        ("\x00\x01\x02", "dvc.lock is damaged"),
        ("5", "dvc.lock is damaged"),
        ("schema: '2.0'\nstages: 5\n", "dvc.lock is damaged"),
    ],
)
def test_a_damaged_record_of_dvc_is_named_and_the_advice_works(content: str, problem: str, project: Path) -> None:
    (project / "dvc.lock").write_text(content)
    with pytest.raises(UserError, match=problem) as caught:
        StageGraph().names()
    assert "\n" not in str(caught.value)
    command = str(caught.value).split("`")[1]
    subprocess.run(command.split(), check=True, capture_output=True)
    assert StageGraph().names() == ["collect", "clean", "tokenize"]


@pytest.mark.parametrize(
    "content", ["", LOCK[: LOCK.index("th: sample")], "\x00\x01\x02", "5", "schema: '2.0'\nstages: 5\n"]
)
def test_a_record_of_dvc_that_a_kill_cut_off_is_restored(
    content: str, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repair_repository(project)
    (project / "dvc.lock").write_text(content)
    repair_repository(project)
    assert (project / "dvc.lock").read_text() == LOCK
    assert "dvc.lock was damaged: its last valid content has been restored" in caplog.text
    merge = f"<<<<<<< HEAD\n{LOCK}=======\n{LOCK}>>>>>>> other\n"
    (project / "dvc.lock").write_text(merge)
    repair_repository(project)
    assert (project / "dvc.lock").read_text() == merge


def test_a_record_of_dvc_that_is_not_utf_8_is_named(project: Path) -> None:
    (project / "dvc.lock").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"dvc\.lock is damaged"):
        StageGraph().names()


def test_a_stage_graph_that_cannot_be_read_is_named(project: Path) -> None:
    (project / "dvc.yaml").write_text("stages: [")
    with pytest.raises(UserError, match=r"DVC cannot read dvc\.yaml"):
        StageGraph().names()


def test_a_folder_without_git_is_named(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(project / ".dvc", tmp_path / ".dvc")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="git init"):
        StageGraph().names()
    subprocess.run(["git", "init", "--quiet"], check=True)
    assert StageGraph().names() == []


@pytest.mark.parametrize("name", ["dvc.lock", ".dvc/tmp/rwlock"])
def test_a_write_of_dvc_that_is_cut_leaves_the_old_content(name: str, project: Path) -> None:
    repository = open_repository()
    file = project / name
    with repository.fs.open(str(file), "w", encoding="utf-8") as stream:
        stream.write("old")
    with suppress(KeyboardInterrupt), repository.fs.open(str(file), "w", encoding="utf-8") as stream:
        stream.write("new")
        stream.flush()
        raise KeyboardInterrupt
    assert file.read_text() == "old"
    file.unlink()


def test_dvc_writes_its_own_files_through_that_door(project: Path) -> None:
    """What DVC really does when it looks at a stage: the file is another one afterwards, not the old one rewritten."""
    rwlock = project / ".dvc" / "tmp" / "rwlock"
    rwlock.unlink(missing_ok=True)
    graph = StageGraph()
    graph.changes("collect")
    with rwlock.open() as held:
        before = os.fstat(held.fileno()).st_ino
        graph.changes("collect")
        assert rwlock.stat().st_ino != before


@pytest.fixture
def database(project: Path) -> Path:
    """A database of DVC's, made by DVC's own code, with a thousand entries."""
    folder = project / ".work" / "dvc" / "repo" / "0" / "hashes" / "local"
    shutil.rmtree(folder.parents[1], ignore_errors=True)
    with HashesCache(str(folder)) as cache:
        cache.set_many([(f"/data/{number}", "{}") for number in range(1000)])
    with closing(sqlite3.connect(folder / "cache.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "cache.db"


def overwrite(file: Path, offset: int, content: bytes) -> None:
    with file.open("r+b") as stream:
        stream.seek(offset)
        stream.write(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b"no database at all" * 300),
        lambda file: os.truncate(file, 5000),
        lambda file: os.truncate(file, 100),
        lambda file: overwrite(file, 4096, bytes(12_000)),
        lambda file: overwrite(file, 0, b"\xff" * 16),
    ],
)
def test_a_damaged_database_of_dvc_is_named_and_made_again(
    damage: Callable[[Path], object], database: Path, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(database)
    repair_repository(project)
    assert [str(database) in record.message for record in caplog.records] == [True]
    with HashesCache(str(database.parent)) as cache:
        cache.set_many([("/data/1", "{}")])
        assert cache.get("/data/1") == "{}"


def test_a_sound_database_of_dvc_stays(database: Path, project: Path, caplog: pytest.LogCaptureFixture) -> None:
    with HashesCache(str(database.parent)) as in_use:
        repair_repository(project)
        assert in_use.get("/data/999") == "{}"
    assert caplog.records == []


def test_nobody_else_may_write_into_the_databases_of_dvc(project: Path) -> None:
    """DVC lets everybody, whatever the umask says, where it makes the folders itself."""
    site_cache = project / ".work" / "dvc"
    shutil.rmtree(site_cache, ignore_errors=True)
    open_repository().close()
    assert site_cache.stat().st_mode & 0o022
    repair_repository(project)
    open_repository().close()
    assert not site_cache.stat().st_mode & 0o022
    assert not (site_cache / "repo").stat().st_mode & 0o022
