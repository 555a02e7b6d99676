"""Identifies a process, even after it has ended: its host, id and start time."""

import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import psutil
from pydantic import BaseModel, ConfigDict, Field

# An id is not reused within this time, but the clock may be adjusted by as much.
START_TOLERANCE_SECONDS = 2.0
LARGEST_PID = 2**31 - 1
# File systems that several machines can use at the same time.
NETWORK_FILE_SYSTEMS = ("9p", "afs", "beegfs", "ceph", "cifs", "fuse.", "glusterfs", "gpfs", "lustre", "nfs", "smb")


@dataclass(frozen=True)
class ProcessIdentity:
    """The identity of a process; a process id alone may be reused by another process."""

    host: str
    pid: int
    create_time: float

    @classmethod
    def current(cls) -> "ProcessIdentity":
        """The current process."""
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

    def is_gone(self, work_folder: Path | None = None) -> bool:
        """Whether the process has certainly ended.

        With another host name, the process may run on another machine, or this machine was renamed, its container
        recreated, or the folder moved here. That is not certain unless ``work_folder``, which holds the record of the
        process, is on a file system that no other machine uses.
        """
        if self.process() is not None:
            return False
        return self.host == socket.gethostname() or (work_folder is not None and not is_on_network(work_folder))

    def process(self) -> psutil.Process | None:
        """The process on this machine with this id and start time, whatever the host name; None if there is none."""
        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.create_time) <= START_TOLERANCE_SECONDS
            return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.NoSuchProcess, OverflowError, ValueError):
            return None


class ProcessRecord(BaseModel):
    """What a process records about itself in a file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str
    pid: Annotated[int, Field(gt=0, le=LARGEST_PID)]
    create_time: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    @property
    def process(self) -> ProcessIdentity:
        """The process."""
        return ProcessIdentity(host=self.host, pid=self.pid, create_time=self.create_time)


def is_on_network(folder: Path) -> bool:
    """Whether a folder is on a file system that other machines may use."""
    mounts = [(Path(part.mountpoint), part.fstype) for part in psutil.disk_partitions(all=True)]
    real = folder.resolve()
    kind = max(((len(path.parts), kind) for path, kind in mounts if real.is_relative_to(path)), default=(0, ""))[1]
    return kind.lower().startswith(NETWORK_FILE_SYSTEMS)
