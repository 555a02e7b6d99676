"""Ends a stage that nobody waits for any more: its result would be lost, and a second one may already be running."""

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
GRACE_SECONDS = 20.0  # for the step under way, a checkpoint, and what MLflow and Prefect are told
SHELLS = {"bash", "dash", "fish", "ksh", "sh", "zsh"}


def stop_when_abandoned(pipeline: ProcessIdentity | None, *, is_started_by_dvc: bool) -> None:
    """Watch for the end of the pipeline's process, or of DVC's, and then end this one, by force if it does not respond.

    DVC, killed, leaves its command running, and so does a pipeline that was killed outright.
    """
    awaited = [*([pipeline] if pipeline else []), *(_starters() if is_started_by_dvc else [])]
    if awaited:
        threading.Thread(target=_watch, args=(awaited,), name="abandonment", daemon=True).start()


def _starters() -> list[ProcessIdentity]:
    """DVC's process, and the shell that may stand between it and this process."""
    found = []
    for process in psutil.Process().parents():
        found.append(ProcessIdentity.of(process))
        if process.name() not in SHELLS:
            break
    return found


def _watch(awaited: Sequence[ProcessIdentity]) -> None:
    waiting = threading.Event()
    while not any(process.is_gone() for process in awaited):
        waiting.wait(SECONDS_BETWEEN_CHECKS)
    logger.warning("what started this stage is gone; stopping it")
    # One signal only: a second one would interrupt what puts files and runs in order.
    os.kill(os.getpid(), signal.SIGTERM)
    waiting.wait(GRACE_SECONDS)
    _kill_with_children()


def _kill_with_children() -> None:
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    os.kill(os.getpid(), signal.SIGKILL)
