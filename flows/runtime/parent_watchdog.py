"""Stops a stage whose parent has ended: its result would be lost, and another run may already have been started."""

import logging
import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress

import psutil

from tasks.context.process import ProcessIdentity

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_CHECKS = 0.25
GRACE_SECONDS = 20.0  # to finish the current step, write a checkpoint, and report to MLflow and Prefect
SHELLS = {"bash", "dash", "fish", "ksh", "sh", "zsh"}


def stop_when_abandoned(pipeline: ProcessIdentity | None, *, is_started_by_dvc: bool) -> None:
    """Wait in a thread until the pipeline's process or DVC's ends; then stop this process, by force if necessary.

    When DVC or the pipeline is killed, the stage that it started keeps running.
    """
    watched = [*([pipeline] if pipeline else []), *(_dvc_and_its_shell() if is_started_by_dvc else [])]
    if watched:
        threading.Thread(target=_wait_and_stop, args=(watched,), name="parent-watchdog", daemon=True).start()


def _dvc_and_its_shell() -> list[ProcessIdentity]:
    """DVC's process, and the shell that DVC may have started this process with."""
    found = []
    for process in psutil.Process().parents():
        found.append(ProcessIdentity.of(process))
        if process.name() not in SHELLS:
            break
    return found


def _wait_and_stop(watched: Sequence[ProcessIdentity]) -> None:
    waiting = threading.Event()
    while not any(process.is_gone() for process in watched):
        waiting.wait(SECONDS_BETWEEN_CHECKS)
    logger.warning("The process that started this stage has ended; stopping the stage")
    # One signal only: a second one would interrupt the cleanup of files and runs.
    os.kill(os.getpid(), signal.SIGTERM)
    waiting.wait(GRACE_SECONDS)
    _kill_with_children()


def _kill_with_children() -> None:
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    os.kill(os.getpid(), signal.SIGKILL)
