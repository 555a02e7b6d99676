"""Which process did something, whether it still runs, and what only one at a time may do."""

import fcntl
import json
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

logger = logging.getLogger(__name__)

# An id is not given again within this time, but a clock may be corrected by as much.
START_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True)
class ProcessIdentity:
    """A process known for certain: an id alone may by now belong to another one."""

    host: str
    pid: int
    create_time: float

    @classmethod
    def current(cls) -> "ProcessIdentity":
        """The process that asks."""
        return cls.of(psutil.Process())

    @classmethod
    def of(cls, process: psutil.Process) -> "ProcessIdentity":
        """A process on this machine."""
        return cls(host=socket.gethostname(), pid=process.pid, create_time=process.create_time())

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "ProcessIdentity":
        """The identity that :meth:`as_json` wrote."""
        return cls(host=str(value["host"]), pid=int(value["pid"]), create_time=float(value["create_time"]))

    def as_json(self) -> dict[str, Any]:
        """Plain values for a file."""
        return asdict(self)

    def to_text(self) -> str:
        """The identity for an environment variable."""
        return json.dumps(self.as_json())

    def is_gone(self) -> bool:
        """Whether the process has certainly ended; of a process on another machine nothing is certain."""
        return self.host == socket.gethostname() and self.process() is None

    def process(self) -> psutil.Process | None:
        """A handle on the process, or None if it has ended or runs on another machine."""
        if self.host != socket.gethostname():
            return None
        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.create_time) <= START_TOLERANCE_SECONDS
            return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


@contextmanager
def exclusive(path: Path, notice: str) -> Iterator[None]:
    """Hold the lock on a file, for which processes wait in turn; ``notice`` is logged if it has to be waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("%s", notice)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
