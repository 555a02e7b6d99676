"""Which errors are shown to users without a traceback, and with what message."""

import errno
from collections.abc import Iterator

from pydantic import ValidationError

from lmcore.errors import UserError

NO_MEMORY = ("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory")
NO_SPACE = ("no space left on device", "disk is full", "disk quota exceeded")


class ShownError(UserError):
    """An error whose reason another process has shown already; ``summary`` names that process."""

    def __init__(self, message: str, summary: str) -> None:
        super().__init__(message)
        self.summary = summary


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it came from, the last one first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def explains_itself(error: BaseException) -> bool:
    """Whether the message was written for the user, or is about a file, a connection, a setting or the machine.

    Any other error is a defect, and needs its traceback.
    """
    is_for_user = isinstance(error, UserError | OSError | ValidationError | FloatingPointError)
    return is_for_user or is_about_space(error) or is_about_memory(error)


def message_of(error: BaseException) -> str:
    """The message for the user."""
    if is_about_space(error):
        reason = " ".join(str(error).split())
        return f"the disk is full ({reason}): free some space and run the command again; it resumes where it stopped"
    if is_about_memory(error):
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"not enough memory ({reason}): reduce the model, batch or context size in params.yaml"
    return str(error) or type(error).__name__


def is_about_memory(error: BaseException) -> bool:
    """Whether a memory allocation failed, on the CPU or on a GPU."""
    return any(
        isinstance(cause, MemoryError) or any(words in str(cause).lower() for words in NO_MEMORY)
        for cause in causes(error)
        if isinstance(cause, MemoryError | RuntimeError)
    )


def is_about_space(error: BaseException) -> bool:
    """Whether a write failed because the disk is full, however a library reports it."""
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        is_of_library = type(cause).__module__ != "builtins"  # SQLite, safetensors, Arrow
        if is_of_library and any(words in str(cause).lower() for words in NO_SPACE):
            return True
    return False
