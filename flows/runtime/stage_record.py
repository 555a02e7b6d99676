"""How the last execution of a stage ended, for the pipeline that started it (``.work/stages/NAME.json``)."""

import traceback as tracebacks
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from lmcore.runtime.files import write_text
from tasks.context.errors import explains_itself, message_of


class StageRecord(BaseModel):
    """How an execution ended, and the resources that it used."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    state: Literal["ran", "failed", "restored"]
    """``restored``: DVC did not run the stage but took its outputs from the cache."""
    seconds: float = 0.0
    peak_memory_bytes: int | None = None
    message: str | None = None
    """Why it failed, as shown to the user."""
    traceback: str | None = None

    @classmethod
    def failed(cls, error: BaseException, *, seconds: float = 0.0, peak_memory_bytes: int | None = None) -> Self:
        """The record of an execution that failed with an error."""
        return cls(
            state="failed",
            seconds=seconds,
            peak_memory_bytes=peak_memory_bytes,
            message=message_of(error) if explains_itself(error) else repr(error),
            traceback="".join(tracebacks.format_exception(error)),
        )

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The record at a path, or None if there is no valid one."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):  # a damaged record is replaced by the next execution
            return None

    def write(self, path: Path) -> None:
        """Replace the record of the previous execution."""
        write_text(path, self.model_dump_json(indent=2) + "\n")
