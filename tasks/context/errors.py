"""Which errors are shown to users without a traceback, and with which message."""

import errno
from collections.abc import Iterator

from pydantic import ValidationError

from lmcore.errors import UserError

NO_MEMORY = ("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory")
NO_SPACE = ("no space left on device", "disk is full", "disk quota exceeded")


class ShownError(UserError):
    """An error whose message another process has already shown; ``summary`` refers to that process."""

    def __init__(self, message: str, summary: str) -> None:
        super().__init__(message)
        self.summary = summary


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and the errors that caused it, the latest first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def explains_itself(error: BaseException) -> bool:
    """Whether an error's message is enough: it was written for the user, or is about a file, a connection, a setting,
    memory or disk space.

    Any other error is a defect and needs its traceback.
    """
    is_for_user = isinstance(error, UserError | OSError | ValidationError | FloatingPointError)
    return is_for_user or is_about_space(error) or is_about_memory(error)


def message_of(error: BaseException) -> str:
    """The message shown to the user."""
    if is_about_space(error):
        reason = " ".join(str(error).split())
        return f"the disk is full ({reason}): free some disk space and repeat the command; it resumes where it stopped"
    if is_about_memory(error):
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"not enough memory ({reason}): reduce the size of the model, the batch or the sequence in params.yaml"
    return str(error) or type(error).__name__


def is_about_memory(error: BaseException) -> bool:
    """Whether a memory allocation failed, on the CPU or on a GPU."""
    return any(
        isinstance(cause, MemoryError) or any(words in str(cause).lower() for words in NO_MEMORY)
        for cause in causes(error)
        if isinstance(cause, MemoryError | RuntimeError)
    )


def is_about_space(error: BaseException) -> bool:
    """Whether a write failed because the disk is full, in whatever way a library reports it."""
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        is_of_library = type(cause).__module__ != "builtins"  # SQLite, safetensors, Arrow
        if is_of_library and any(words in str(cause).lower() for words in NO_SPACE):
            return True
    return False
