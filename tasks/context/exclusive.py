"""A lock file for work that only one process at a time may do."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)


@contextmanager
def exclusive(path: Path, notice: str) -> Iterator[None]:
    """Hold the lock on a file; if another process holds it, log ``notice`` and wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("%s", notice)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
