"""Runs a command in a POSIX session of its own, so that it can be stopped together with everything it started."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import psutil

from tasks.context.process import START_TOLERANCE_SECONDS, ProcessIdentity

GRACE_SECONDS = 30.0  # to write a checkpoint
SECONDS_BETWEEN_CHECKS = 0.05


def run_in_session(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """Run a command and return its exit code; every process that it started is stopped, even if this is interrupted.

    The command inherits standard error, for its progress bars; its standard output is discarded.
    """
    process = subprocess.Popen(
        command,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    leader = ProcessIdentity.of(psutil.Process(process.pid))
    try:
        return process.wait()
    finally:
        stop_session(leader)
        process.wait()


def stop_session(leader: ProcessIdentity) -> bool:
    """Terminate the session of ``leader``, then kill what is left; return whether there was any process.

    A second interrupt during the grace period kills the processes at once.
    """
    members = session_members(leader)
    try:
        return stop_processes(members)
    finally:
        _send_signal(session_members(leader), signal.SIGKILL)  # including what they have started meanwhile


def stop_processes(processes: Sequence[psutil.Process]) -> bool:
    """Terminate processes, then kill those that are left after the grace period; return whether there was any."""
    _send_signal(processes, signal.SIGTERM)
    try:
        _wait_until_gone(processes)
    finally:
        _send_signal(processes, signal.SIGKILL)
    return bool(processes)


def session_members(leader: ProcessIdentity) -> list[psutil.Process]:
    """The running processes of a session, whose leader may already have ended."""
    if _belongs_to_another(leader):
        return []
    return [process for process in psutil.process_iter() if _is_member(process, leader)]


def _belongs_to_another(leader: ProcessIdentity) -> bool:
    """Whether the leader's process id now belongs to another process, in an unrelated session."""
    with suppress(psutil.NoSuchProcess):
        return abs(psutil.Process(leader.pid).create_time() - leader.create_time) > START_TOLERANCE_SECONDS
    return False


def _is_member(process: psutil.Process, leader: ProcessIdentity) -> bool:
    with suppress(ProcessLookupError, PermissionError, psutil.Error):
        is_older = process.create_time() < leader.create_time - START_TOLERANCE_SECONDS
        return os.getsid(process.pid) == leader.pid and not is_older and process.status() != psutil.STATUS_ZOMBIE
    return False


def _send_signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _wait_until_gone(processes: Sequence[psutil.Process]) -> None:
    """Wait for processes without collecting their exit codes, which their parents need."""
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(_is_running(process) for process in processes):
        time.sleep(SECONDS_BETWEEN_CHECKS)


def _is_running(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
