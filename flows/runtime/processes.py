"""Child processes in sessions of their own, so that a command and everything it started can be stopped together."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import psutil

from tasks.context.process import START_TOLERANCE_SECONDS, ProcessIdentity

GRACE_SECONDS = 30.0  # a training writes its checkpoint
SECONDS_BETWEEN_CHECKS = 0.05


def run_in_session(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """Run a command to its end and return its exit code; nothing it started is left behind, however this ends.

    Its standard error stays ours, so that progress bars show; its standard output is dropped.
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
    """End the session that ``leader`` founded, gently and then by force; return whether there was any process.

    A second interrupt while the processes take their time ends them at once.
    """
    members = session_members(leader)
    try:
        return stop_processes(members)
    finally:
        _send(session_members(leader), signal.SIGKILL)  # what they started meanwhile


def stop_processes(processes: Sequence[psutil.Process]) -> bool:
    """End processes, gently and then by force; return whether there was any."""
    _send(processes, signal.SIGTERM)
    try:
        _wait_until_gone(processes)
    finally:
        _send(processes, signal.SIGKILL)
    return bool(processes)


def session_members(leader: ProcessIdentity) -> list[psutil.Process]:
    """The running processes of the session; the leader itself may have ended before them."""
    if _belongs_to_another(leader):
        return []
    return [process for process in psutil.process_iter() if _is_member(process, leader)]


def _belongs_to_another(leader: ProcessIdentity) -> bool:
    """Whether the leader's process id has been given to another process, so that its session is no longer ours."""
    with suppress(psutil.NoSuchProcess):
        return abs(psutil.Process(leader.pid).create_time() - leader.create_time) > START_TOLERANCE_SECONDS
    return False


def _is_member(process: psutil.Process, leader: ProcessIdentity) -> bool:
    with suppress(ProcessLookupError, PermissionError, psutil.Error):
        is_older = process.create_time() < leader.create_time - START_TOLERANCE_SECONDS
        return os.getsid(process.pid) == leader.pid and not is_older and process.status() != psutil.STATUS_ZOMBIE
    return False


def _send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _wait_until_gone(processes: Sequence[psutil.Process]) -> None:
    """Wait for processes without collecting their exit codes, which belong to whoever started them."""
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(_runs(process) for process in processes):
        time.sleep(SECONDS_BETWEEN_CHECKS)


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
