"""DVC's lock file after kills and damages: DVC's own code has to get its locks again."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.fs import localfs
from dvc.lock import LockError
from dvc.rwlock import rwlock

from flows.runtime.dvc_locks import repair_locks, wait_for_others
from tests.sample_project import wait_until

HOLDING = """
import sys, time
from dvc.fs import localfs
from dvc.rwlock import rwlock
with rwlock(sys.argv[1], localfs, " ".join(sys.argv), [], [sys.argv[2]], False):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def holder(project: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds a lock of DVC's on ``data``."""
    program = project / "holding.py"
    program.write_text(HOLDING)
    command = [sys.executable, str(program), str(project / ".dvc" / "tmp"), str(project / "data")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def lock_data(project: Path) -> None:
    """Take and release a lock as a DVC command does."""
    with rwlock(str(project / ".dvc" / "tmp"), localfs, "dvc repro", [], [str(project / "data")], False):
        pass


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"write": {"/data": {"pid": 1, "cm',
        b"\0" * 200,
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"5",
        b'"text"',
        b'{"write": []}',
        b'{"write": {"/data": 5}}',
        b'{"write": {"/data": {"pid": "1", "cmd": "dvc"}}}',
        b'{"write": {"/data": {"pid": 1}}}',
        b'{"read": {"/data": {"pid": 1, "cmd": "dvc"}}}',
        b'{"other": {}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_lock_file_is_named_and_set_aside(
    content: bytes, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = project / ".dvc" / "tmp" / "rwlock"
    file.write_bytes(content)
    repair_locks(project)
    lock_data(project)
    assert [str(file) in record.message for record in caplog.records] == [True]
    assert file.with_name("rwlock.damaged-1").read_bytes() == content


def test_a_folder_in_the_place_of_the_lock_file_is_set_aside(project: Path) -> None:
    (project / ".dvc" / "tmp" / "rwlock").mkdir()
    repair_locks(project)
    lock_data(project)


def test_a_sound_lock_file_stays_as_it_is(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    lock_data(project)
    before = (project / ".dvc" / "tmp" / "rwlock").read_bytes()
    repair_locks(project)
    assert (project / ".dvc" / "tmp" / "rwlock").read_bytes() == before
    assert caplog.records == []


def test_a_running_process_keeps_its_lock_until_it_is_killed(
    project: Path, holder: "subprocess.Popen[str]", caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    repair_locks(project)
    with pytest.raises(LockError):
        lock_data(project)
    holder.kill()
    holder.wait()
    repair_locks(project)
    lock_data(project)
    (message,) = [record.message for record in caplog.records if record.name.startswith("flows")]
    assert "killed processes" in message
    assert str(holder.pid) in message


def test_a_waiting_process_names_what_it_waits_for_and_continues_at_once(
    project: Path, holder: "subprocess.Popen[str]", caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    waiting = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import flows.runtime.dvc_locks as locks, pathlib; locks.wait_for_others(pathlib.Path.cwd())",
        ],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(timeout=1.5)
    holder.kill()
    holder.wait()
    assert waiting.wait(timeout=20) == 0


def test_the_lock_of_a_process_whose_id_was_given_to_another_one_is_released(project: Path) -> None:
    """After a restart, or in a new container, an id soon belongs to somebody else."""
    with subprocess.Popen(["sleep", "60"]) as stranger:
        for pid in (stranger.pid, os.getpid(), 1):
            owner = {"pid": pid, "cmd": "/project/.venv/bin/dvc repro"}
            locks = {"write": {str(project / "data"): owner}, "read": {str(project / "data"): [owner]}}
            (project / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(locks))
            repair_locks(project)
            lock_data(project)
            wait_for_others(project)
        stranger.kill()


def test_the_lock_on_the_project_is_waited_for_too(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    """DVC holds it while it is at work itself; what a killed process left in the file is no lock."""
    caplog.set_level(logging.INFO)
    file = project / ".dvc" / "tmp" / "lock"
    file.write_text(" 999999\n")
    wait_for_others(project)
    program = "import sys, time, zc.lockfile as z; x = z.LockFile(sys.argv[1]); print(1, flush=True); time.sleep(2.5)"
    with subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE) as locking:
        assert locking.stdout is not None
        locking.stdout.readline()
        wait_for_others(project)
        assert wait_until(lambda: locking.poll() is not None, seconds=5)
    (message,) = [record.message for record in caplog.records if record.name.startswith("flows")]
    assert f"waiting for process {locking.pid}" in message
