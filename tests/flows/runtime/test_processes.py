"""Whatever a command started ends with it, and nothing else is ever touched."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import flows.runtime.processes
from flows.runtime.processes import run_in_session, session_members, stop_session
from tasks.context.process import ProcessIdentity

# A leader that starts a child of its own, tells its id, and waits.
LEADER = """
import pathlib, signal, subprocess, sys, time
{prelude}
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
{ending}
"""


def start(
    tmp_path: Path, *, prelude: str = "", ending: str = "time.sleep(60)"
) -> tuple[subprocess.Popen[bytes], psutil.Process]:
    reported = tmp_path / "child"
    program = LEADER.format(prelude=prelude, ending=ending)
    leader = subprocess.Popen([sys.executable, "-c", program, str(reported)], start_new_session=True)
    return leader, psutil.Process(int(wait_for_text(reported)))


def is_running(pid: int) -> bool:
    """Whether the process is there and more than an entry that its parent has not read yet."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def wait_for_text(path: Path, seconds: float = 30.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.02)
    raise TimeoutError(f"{path} was not written")


def test_stopping_a_session_ends_the_leader_and_its_children(tmp_path: Path) -> None:
    leader, child = start(tmp_path)
    assert stop_session(ProcessIdentity.of(psutil.Process(leader.pid)))
    assert leader.wait() == -signal.SIGTERM
    assert not is_running(child.pid)


def test_a_process_that_ignores_the_request_is_ended_by_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.runtime.processes, "GRACE_SECONDS", 0.3)
    leader, _ = start(tmp_path, prelude="signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    stop_session(ProcessIdentity.of(psutil.Process(leader.pid)))
    assert leader.wait() == -signal.SIGKILL


def test_children_of_a_leader_that_was_killed_are_found_and_stopped(tmp_path: Path) -> None:
    leader, child = start(tmp_path)
    identity = ProcessIdentity.of(psutil.Process(leader.pid))
    leader.kill()
    leader.wait()
    assert [member.pid for member in session_members(identity)] == [child.pid]
    assert stop_session(identity)
    assert session_members(identity) == []


def test_a_process_that_got_the_leaders_id_later_is_left_alone(tmp_path: Path) -> None:
    leader, _ = start(tmp_path)
    identity = ProcessIdentity.of(psutil.Process(leader.pid))
    assert not stop_session(replace(identity, create_time=identity.create_time - 3600))
    assert leader.poll() is None
    stop_session(identity)
    leader.wait()


def test_what_a_command_leaves_running_is_stopped_when_it_ends(tmp_path: Path) -> None:
    reported = tmp_path / "child"
    program = LEADER.format(prelude="", ending="sys.exit(3)")
    assert run_in_session([sys.executable, "-c", program, str(reported)], {}) == 3
    assert not is_running(int(reported.read_text()))


@pytest.fixture
def interrupted_soon(tmp_path: Path) -> Iterator[Path]:
    """A file by whose appearance this process is interrupted, as by Ctrl-C."""
    reported = tmp_path / "child"
    watcher = f"""
import os, pathlib, signal, time
while not pathlib.Path({str(reported)!r}).exists():
    time.sleep(0.02)
os.kill({os.getpid()}, signal.SIGINT)
"""
    process = subprocess.Popen([sys.executable, "-c", watcher])
    yield reported
    process.wait()


def test_an_interrupt_stops_the_command_and_its_children(interrupted_soon: Path) -> None:
    program = LEADER.format(prelude="", ending="time.sleep(60)")
    with pytest.raises(KeyboardInterrupt):
        run_in_session([sys.executable, "-c", program, str(interrupted_soon)], {})
    assert not is_running(int(wait_for_text(interrupted_soon)))
