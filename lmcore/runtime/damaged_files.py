"""Damaged files and folders: reported, moved out of the way and kept, so that they can be recreated."""

import itertools
import logging
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

DAMAGED = ".damaged-"
"""The suffix of a file or folder that was set aside, followed by a number."""
LONGEST_REASON = 200


def set_aside(path: Path, reason: object = None, *, folder: Path | None = None) -> Path:
    """Rename a damaged file or folder to ``NAME.damaged-1``, or the next number that is free, and log a warning.

    Args:
        path: the damaged file or folder.
        reason: what is wrong with it, such as the error raised by reading it; None leaves the warning to the caller.
        folder: the folder to move it into, created if necessary; None keeps it in its folder.

    Returns:
        Its new path.

    Raises:
        FileNotFoundError: if there is no such file or folder; another process may have moved it already.
    """
    parent = folder or path.parent
    parent.mkdir(parents=True, exist_ok=True)
    names = (parent / f"{path.name}{DAMAGED}{number}" for number in itertools.count(1))
    moved = next(name for name in names if not name.exists())
    shutil.move(path, moved)
    if reason is not None:
        shown = " ".join(str(reason).split())[:LONGEST_REASON]
        logger.warning("%s is damaged (%s); renamed to %s", path, shown, moved.name if folder is None else moved)
    return moved


def read_record(path: Path, shape: type[Value], *, strict: bool = True) -> Value | None:
    """Read a JSON file that can be recreated; returns None if it is missing, or damaged and therefore set aside.

    Args:
        path: the file.
        shape: the type of its content, as pydantic understands it.
        strict: whether values of another type are refused even where pydantic could convert them.
    """
    try:
        return TypeAdapter(shape).validate_json(path.read_bytes(), strict=strict)
    except FileNotFoundError:
        return None
    except (ValidationError, IsADirectoryError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "it is a folder"
    with suppress(FileNotFoundError):  # another process may have set it aside
        set_aside(path, reason)
    return None
