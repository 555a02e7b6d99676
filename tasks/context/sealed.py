"""Small files and lines that are only accepted with their checksum."""

import hashlib
import json
import logging
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from lmcore.errors import UserError
from lmcore.runtime.files import write_text

logger = logging.getLogger(__name__)

ModelT = TypeVar("ModelT", bound=BaseModel)

DIGEST_CHARACTERS = 16
DAMAGED = ".damaged"
DISCARDED = ".discarded-"


def seal(text: str) -> str:
    """One line of text, after its checksum."""
    return f"{_digest(text)} {text}"


def unseal(line: str) -> str:
    """The text that :func:`seal` was given.

    Raises:
        ValueError: if a character of it has changed.
    """
    digest, _, text = line.partition(" ")
    if digest != _digest(text):
        raise UserError("its checksum does not match")
    return text


def write_sealed(path: Path, value: BaseModel) -> None:
    """Replace ``path`` by a value and its checksum, atomically."""
    write_text(path, seal(json.dumps(value.model_dump(mode="json"), ensure_ascii=False)) + "\n")


def read_sealed(path: Path, kind: type[ModelT]) -> ModelT:
    """The value that :func:`write_sealed` wrote.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it was damaged, or written by another version.
    """
    return kind.model_validate_json(unseal(path.read_bytes().decode("utf-8").removesuffix("\n")))


def set_aside(path: Path, reason: object) -> None:
    """Rename a damaged file or folder and log it; it is recreated when needed."""
    aside = path.with_name(path.name + DAMAGED)
    logger.warning("%s is damaged (%s); renamed to %s", path, " ".join(str(reason).split())[:200], aside.name)
    if aside.is_dir():
        shutil.rmtree(aside)
    path.replace(aside)


def discard(folder: Path) -> None:
    """Delete a folder; a kill in the middle leaves nothing that looks like a damaged one."""
    for leftover in folder.parent.glob(f"{DISCARDED}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    hidden = folder.with_name(f"{DISCARDED}{folder.name}")
    with suppress(FileNotFoundError):
        folder.replace(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:DIGEST_CHARACTERS]
