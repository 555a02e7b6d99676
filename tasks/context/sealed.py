"""Small files and lines of text with a checksum, by which damage is detected."""

import hashlib
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from lmcore.errors import UserError
from lmcore.runtime.files import write_text

ModelT = TypeVar("ModelT", bound=BaseModel)

DIGEST_CHARACTERS = 16
DISCARDED = ".discarded-"


def seal(text: str) -> str:
    """A line that holds the checksum of ``text``, a space and ``text``."""
    return f"{_digest(text)} {text}"


def unseal(line: str) -> str:
    """The text of a line that :func:`seal` made.

    Raises:
        UserError: if the line has changed since.
    """
    digest, _, text = line.partition(" ")
    if digest != _digest(text):
        raise UserError("its checksum does not match")
    return text


def write_sealed(path: Path, value: BaseModel) -> None:
    """Write a value as JSON with its checksum, atomically."""
    write_text(path, seal(json.dumps(value.model_dump(mode="json"), ensure_ascii=False)) + "\n")


def read_sealed(path: Path, kind: type[ModelT]) -> ModelT:
    """Read a value that :func:`write_sealed` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, or was written by another version.
    """
    return kind.model_validate_json(unseal(path.read_bytes().decode("utf-8").removesuffix("\n")))


def discard(folder: Path) -> None:
    """Delete a folder; if the process is killed meanwhile, what is left is not mistaken for a damaged folder."""
    for leftover in folder.parent.glob(f"{DISCARDED}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    renamed = folder.with_name(f"{DISCARDED}{folder.name}")
    with suppress(FileNotFoundError):
        folder.replace(renamed)
    shutil.rmtree(renamed, ignore_errors=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:DIGEST_CHARACTERS]
