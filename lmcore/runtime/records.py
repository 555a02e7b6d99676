"""Small files that can be recreated: validated when read, and set aside when damaged."""

import itertools
import logging
import shutil
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

logger = logging.getLogger(__name__)

Value = TypeVar("Value")


def set_aside(path: Path, folder: Path | None = None) -> Path:
    """Move a damaged file or folder out of the way; returns its new path.

    Args:
        path: what is damaged.
        folder: where it is kept; beside its place if it is None.
    """
    folder = folder or path.parent
    folder.mkdir(parents=True, exist_ok=True)
    names = (folder / f"{path.name}.damaged-{number}" for number in itertools.count(1))
    kept = next(name for name in names if not name.exists())
    shutil.move(path, kept)
    return kept


def read_record(path: Path, shape: type[Value]) -> Value | None:
    """Read a JSON file that can be recreated; None if it is missing, or damaged and set aside.

    Args:
        path: the file.
        shape: what it has to hold, as pydantic understands it.
    """
    try:
        return TypeAdapter(shape).validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return None
    except ValidationError:
        logger.warning("%s was damaged: renamed to %s and recreated", path, set_aside(path).name)
        return None
