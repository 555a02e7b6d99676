"""Files and folders are replaced as a whole, or stay as they are."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from lmcore.runtime import files
from lmcore.runtime.files import (
    atomic_file,
    atomic_folder,
    content_digest,
    file_digest,
    folder_digest,
    write_json,
    write_text,
)


def test_a_file_is_replaced_or_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_text(path, "one")

    def fail() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("two")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert path.read_text() == "one"
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_a_folder_is_replaced_or_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with atomic_folder(path) as temporary:
        (temporary / "old").write_text("one")

    def fail() -> None:
        with atomic_folder(path) as temporary:
            (temporary / "new").write_text("two")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert [file.name for file in path.iterdir()] == ["old"]
    with atomic_folder(path) as temporary:
        (temporary / "new").write_text("two")
    assert [file.name for file in path.iterdir()] == ["new"]
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def replace_for_ever(path: Path) -> None:
    number = 0
    while True:
        number += 1
        with atomic_folder(path) as temporary:
            for name in "abc":
                (temporary / name).write_text(str(number))


def test_a_process_that_is_killed_at_any_moment_leaves_a_whole_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for moment in range(5):
        process = multiprocessing.get_context("fork").Process(target=replace_for_ever, args=(path,))
        process.start()
        while not path.exists():
            assert process.is_alive()
        seen, n_looks = set[str](), 0
        while len(seen) < 10 + moment or n_looks < 300:
            n_looks += 1
            # Never a moment without a folder; a file may be of the next one.
            seen.add((path / "a").read_text() if path.exists() else "none")
        process.kill()
        process.join()
        assert "none" not in seen
        assert len({(path / name).read_text() for name in "abc"}) == 1


def test_without_an_exchange_a_folder_is_replaced_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_exchange", lambda *_: False)
    test_a_folder_is_replaced_or_stays_as_it_is(tmp_path)


def test_a_link_or_a_file_is_replaced_by_a_folder_and_what_a_link_names_stays(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "kept").touch()
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with atomic_folder(tmp_path / name) as temporary:
            (temporary / "new").touch()
        assert [path.name for path in (tmp_path / name).iterdir()] == ["new"]
        assert not (tmp_path / name).is_symlink()
    assert (tmp_path / "target" / "kept").exists()


@pytest.mark.parametrize(("umask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_modes_follow_from_the_umask(tmp_path: Path, umask: int, file_mode: int, folder_mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "file", "one")
        with atomic_folder(tmp_path / "folder") as temporary:
            (temporary / "inner").touch(mode=0o600)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("file", "folder/inner", "folder")]
    assert modes == [file_mode, file_mode, folder_mode]


def test_digests_are_those_of_names_and_contents(tmp_path: Path) -> None:
    write_json(tmp_path / "one" / "a.json", {"b": "ä", "a": 1})
    write_json(tmp_path / "two" / "a.json", {"b": "ä", "a": 1})
    assert folder_digest(tmp_path / "one") == content_digest(tmp_path / "two")
    assert content_digest(tmp_path / "one" / "a.json") == file_digest(tmp_path / "two" / "a.json")
    (tmp_path / "two" / "a.json").rename(tmp_path / "two" / "b.json")
    assert folder_digest(tmp_path / "one") != folder_digest(tmp_path / "two")
    (tmp_path / "one" / "more").touch()
    assert folder_digest(tmp_path / "one", without=tmp_path / "one" / "more") != folder_digest(tmp_path / "one")
