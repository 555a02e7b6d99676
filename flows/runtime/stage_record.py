"""The record of a stage's last execution, for the process that started it: ``stages/NAME.json`` in the work folder."""

import traceback as tracebacks
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from flows.runtime.errors import explains_itself, message_of
from lmcore.runtime.files import write_text


class StageRecord(BaseModel):
    """How an execution ended, and the resources that it used."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    state: Literal["completed", "failed"]
    seconds: float
    peak_memory_bytes: int
    message: str | None
    """Why it failed, as it was shown."""
    traceback: str | None

    @classmethod
    def failed(cls, error: BaseException, *, seconds: float, peak_memory_bytes: int) -> Self:
        """The record of an execution that an error ended."""
        details = "".join(tracebacks.format_exception(error))
        message = message_of(error) if explains_itself(error) else repr(error)
        return cls(
            state="failed",
            seconds=seconds,
            peak_memory_bytes=peak_memory_bytes,
            message=message,
            traceback=details,
        )

    @classmethod
    def read(cls, path: Path, since: float) -> Self | None:
        """The record of an execution that ended after ``since``, in seconds since the epoch; None if there is none."""
        try:
            if path.stat().st_mtime < since:
                return None
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):  # a damaged one is as good as none: the next stage replaces it
            return None

    def write(self, path: Path) -> None:
        """Replace the record of the previous execution."""
        write_text(path, self.model_dump_json(indent=2) + "\n")
