"""Pieces of work that are done once: each leaves a folder that is named by all that it was made of.

A stage that was killed goes on with the pieces that are not there yet, and one whose input has grown computes
only what is new. A folder is either complete or not there, and holds the digest of its content: one that was damaged
later is made again.
"""

import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from lmcore.config.base import Config
from lmcore.runtime.files import file_digest, flush, folder_digest
from lmcore.runtime.records import set_aside

logger = logging.getLogger(__name__)

CODE = [Path(__file__).parents[1] / folder for folder in ("text", "tokens")]
DIGEST = "sha256"
LIBRARIES = ("ftfy", "lxml", "phonenumbers", "py3langid", "pyarrow", "python-stdnum", "spacy", "tokenizers")
OPTIONAL_LIBRARIES = ("pypdf",)


def piece_key(*parts: Config | str | int | float | bool | None) -> str:
    """The name of a piece of work: 128 bits over the parts, the code of the data path and the libraries it calls."""
    values = [part.model_dump(mode="json") if isinstance(part, Config) else part for part in parts]
    content = json.dumps([_code_digest(), *values], sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def complete_piece(work: Path, key: str, compute: Callable[[Path], Any]) -> Path:
    """The folder of a piece, which ``compute`` fills if it is not there yet, or damaged.

    Two processes may compute the same piece: the first that is done counts, and both made the same.
    """
    done = work / key
    if done.is_dir():
        if _is_sound(done):
            return done
        with suppress(FileNotFoundError):  # another process was quicker
            logger.warning("%s was damaged: renamed to %s and recreated", done, set_aside(done).name)
    work.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=work))
    try:
        compute(temporary)
        (temporary / DIGEST).write_text(folder_digest(temporary), encoding="ascii")
        for file in temporary.rglob("*"):
            flush(file)
        try:
            temporary.rename(done)
        except OSError:
            if not done.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return done


def _is_sound(piece: Path) -> bool:
    try:
        written = (piece / DIGEST).read_bytes()
    except OSError:
        return False
    return written == folder_digest(piece, without=piece / DIGEST).encode()


def pieces_in(work: Path) -> list[str]:
    """Names of the folders that are there, and of what killed processes left."""
    return [folder.name for folder in work.iterdir()] if work.is_dir() else []


def keep_pieces(work: Path, keys: Collection[str]) -> None:
    """Remove all pieces but these, and what killed processes left."""
    for name in set(pieces_in(work)) - set(keys):
        shutil.rmtree(work / name, ignore_errors=True)


def link_or_copy(file: Path, target: Path) -> None:
    """Let ``target`` be the same file where the file system can do that, else a copy; files here are never changed."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


@cache
def _code_digest() -> str:
    installed = {name: importlib.metadata.version(name) for name in LIBRARIES}
    versions = installed | {name: _version_if_installed(name) for name in OPTIONAL_LIBRARIES}
    code = [file_digest(file) for folder in CODE for file in sorted(folder.rglob("*.py"))]
    content = json.dumps([code, platform.python_version(), versions])
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def _version_if_installed(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
