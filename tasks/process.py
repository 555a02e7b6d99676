"""Which process did something, and whether it still runs."""

import json
import socket
from dataclasses import asdict, dataclass
from typing import Any

import psutil

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
