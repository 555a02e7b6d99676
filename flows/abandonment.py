"""Ends a stage that nobody waits for any more: its result would be lost, and a second one may already be running."""

import logging
import os
import signal
import threading

from tasks.process import ProcessIdentity

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_CHECKS = 1.0
GRACE_SECONDS = 60.0


def stop_when_abandoned(pipeline: ProcessIdentity | None, *, is_started_by_dvc: bool) -> None:
    """Watch for the end of the pipeline's process, or of DVC's, and then terminate this one.

    DVC, killed, leaves its command running, and so does a pipeline that was killed outright.
    """
    parent = os.getppid() if is_started_by_dvc else None
    if parent is None and pipeline is None:
        return
    threading.Thread(target=_watch, args=(parent, pipeline), name="abandonment", daemon=True).start()


def _watch(parent: int | None, pipeline: ProcessIdentity | None) -> None:
    waiting = threading.Event()
    while not waiting.wait(SECONDS_BETWEEN_CHECKS):
        is_orphan = parent is not None and os.getppid() != parent
        if is_orphan or (pipeline is not None and pipeline.is_gone()):
            break
    logger.warning("what started this stage is gone; stopping it")
    os.kill(os.getpid(), signal.SIGTERM)
    waiting.wait(GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
