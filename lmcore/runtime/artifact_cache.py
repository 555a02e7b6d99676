"""A cache of computed folders, each keyed by everything that its content depends on.

A computation that was killed resumes with the entries that are missing, and one whose input has grown computes only
what is new. An entry is either complete or absent. It holds the digest of its content, so an entry that was damaged
later is detected and recomputed.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcore.config.base import Config
from lmcore.runtime.damaged_files import set_aside
from lmcore.runtime.files import flush, folder_digest

logger = logging.getLogger(__name__)

DIGEST = "sha256"
"""The file of an entry that holds the digest of the others."""


@dataclass(frozen=True, slots=True)
class ArtifactCache:
    """Folders in one parent folder, which several processes may read and write at once.

    Attributes:
        folder: the parent folder; created with the first entry.
        code: a fingerprint of the code and the packages that compute the entries. It is part of every key, so entries
            of other code are never returned.
    """

    folder: Path
    code: str

    def key(self, *parts: Config | str | int | float | bool | None) -> str:
        """The name of an entry: 128 bits over the code and ``parts``, in hexadecimal."""
        values = [part.model_dump(mode="json") if isinstance(part, Config) else part for part in parts]
        content = json.dumps([self.code, *values], sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()

    def get_or_compute(self, key: str, compute: Callable[[Path], Any]) -> Path:
        """Return the folder of an entry; call ``compute`` to fill it if it is missing or damaged.

        Two processes may compute the same entry: the first one to finish stores it, and both results are the same.
        """
        entry = self.folder / key
        if entry.is_dir():
            if _is_intact(entry):
                return entry
            with suppress(FileNotFoundError):  # another process was quicker
                set_aside(entry, "its checksum does not match")
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=self.folder))
        try:
            compute(temporary)
            (temporary / DIGEST).write_text(folder_digest(temporary), encoding="ascii")
            for file in temporary.rglob("*"):
                flush(file)
            try:
                temporary.rename(entry)
            except OSError:
                if not entry.is_dir():
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return entry

    def names(self) -> list[str]:
        """Names of all entries, and of what killed processes left."""
        return [entry.name for entry in self.folder.iterdir()] if self.folder.is_dir() else []

    def prune(self, keep: Collection[str]) -> None:
        """Remove all entries except those with the keys ``keep``, and what killed processes left."""
        for name in set(self.names()) - set(keep):
            shutil.rmtree(self.folder / name, ignore_errors=True)


def _is_intact(entry: Path) -> bool:
    try:
        stored = (entry / DIGEST).read_bytes()
    except OSError:
        return False
    return stored == folder_digest(entry, without=entry / DIGEST).encode()


def link_or_copy(file: Path, target: Path) -> None:
    """Make ``target`` a hard link to ``file``, or a copy where the file system has no links; entries never change."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)
