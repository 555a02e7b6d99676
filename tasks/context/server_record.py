"""The record of one of the project's own servers: its process and its address."""

import socket
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from lmcore.runtime.damaged_files import read_record
from tasks.context.process import ProcessIdentity, ProcessRecord

HOST = "127.0.0.1"


class ServerRecord(ProcessRecord):
    """The process of a server, its address, and the folder of its record."""

    url: str
    port: Annotated[int, Field(gt=0, lt=2**16)]
    folder: str | None = None

    @classmethod
    def of(cls, process: ProcessIdentity, url: str, record: Path) -> Self:
        """The record, at the path ``record``, of a server that runs in ``process``."""
        return cls.model_validate({**process.as_json(), "url": url, "folder": _folder_of(record)})

    @model_validator(mode="before")
    @classmethod
    def _take_port_from_address(cls, value: Any) -> Any:
        is_complete = not isinstance(value, dict) or "port" in value
        return value if is_complete else {**value, "port": str(value.get("url")).rpartition(":")[2]}

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        if self.url != f"http://{HOST}:{self.port}":
            raise ValueError(f"url {self.url} and port {self.port} do not match")
        return self


def read_server_record(path: Path) -> ServerRecord | None:
    """The server of this folder that is running now, or None.

    Servers listen on this machine only, so their process must be on this machine.
    """
    record = _read(path)
    return record if record and record.process.process() else None


def read_recorded_server(path: Path) -> ServerRecord | None:
    """The last server of this folder that was started on this machine, even if its first process has ended."""
    record = _read(path)
    return record if record and (record.host == socket.gethostname() or record.process.process()) else None


def _read(path: Path) -> ServerRecord | None:
    """The record, unless the folder is a copy: then the record is about the server of the original folder."""
    record = read_record(path, ServerRecord, strict=False)
    return record if record and record.folder in (None, _folder_of(path)) else None


def _folder_of(record: Path) -> str:
    return str(record.parent.resolve())
