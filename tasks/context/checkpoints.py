"""Folders for work in progress, one per training, found again after a kill; and finished models, until they are safe.

A stage's result is safe once DVC has it in its cache and its lock, and of that the stage knows nothing: DVC may be
killed after the trainer's end, or the stage itself while it trains its second model. So the result of a training
stays beside its checkpoints for a while, and the same training, asked for again, is answered with it.
"""

import fcntl
import hashlib
import importlib.metadata
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import lmcore
from lmcore.errors import UserError
from lmcore.runtime.files import atomic_folder, content_digest, folder_digest
from tasks.context.sealed import discard, read_sealed, set_aside, write_sealed

logger = logging.getLogger(__name__)

ABANDONED_SECONDS = 14 * 24 * 3600
KEPT_RESULTS = 3
"""Of each model; a queue of experiments finishes more than one at a time."""
KEPT_BYTES = 2 * 2**30
"""Of all results together, the newest of each model apart."""

RESULT, CONTENT, SEAL = "result", "content", "result.json"
PACKAGES = ("numpy", "safetensors", "tokenizers", "torch")


class Result(BaseModel):
    """What the checksum file of a finished training says."""

    digest: str
    """Of the content of its folder."""


@dataclass(frozen=True)
class WorkFolder:
    """The folder of one training: its checkpoints, and its result once there is one."""

    path: Path

    def result(self) -> Path | None:
        """The folder that :meth:`keep` filled, if it is whole; a damaged one is named and set aside."""
        folder = self.path / RESULT
        if not folder.exists():
            return None
        try:
            expected = read_sealed(folder / SEAL, Result).digest
            if (digest := folder_digest(folder / CONTENT)) != expected:
                raise UserError(f"its content has SHA-256 {digest}, expected {expected}")
        except (OSError, ValueError) as error:
            set_aside(folder, error)
            return None
        os.utime(self.path)
        return folder / CONTENT

    def keep(self, write: Callable[[Path], None]) -> Path:
        """Let ``write`` fill a folder with the result, and keep that; it is whole or not there."""
        with atomic_folder(self.path / RESULT) as temporary:
            (temporary / CONTENT).mkdir()
            write(temporary / CONTENT)
            write_sealed(temporary / SEAL, Result(digest=folder_digest(temporary / CONTENT)))
        return self.path / RESULT / CONTENT

    def forget_result(self) -> None:
        """Remove what :meth:`keep` has kept."""
        discard(self.path / RESULT)

    def remove_checkpoints(self) -> None:
        """Remove everything but the result."""
        for entry in self.path.iterdir():
            if entry.name != RESULT:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@contextmanager
def checkpoint_folder(
    parent: Path, name: str, *, config: Mapping[str, Any], inputs: Sequence[Path], code: Sequence[Path]
) -> Iterator[WorkFolder]:
    """A folder of its own for a training with this configuration, these inputs (files or folders) and this code.

    Only one process at a time has it; another one waits. When the block ends well, the checkpoints are removed and
    the result stays for a while; when it does not, the same training, started again, finds both.

    Args:
        code: files that decide the result, beside ``lmcore``.
    """
    folder = parent / f"{name}-{_key(config, inputs, code)}"
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent, keep=folder)
    with _locked(parent / f"{folder.name}.lock"):
        folder.mkdir(exist_ok=True)
        work = WorkFolder(folder)
        yield work
        work.remove_checkpoints()
        _bound_results(parent, keep=folder)


def _key(config: Mapping[str, Any], inputs: Sequence[Path], code: Sequence[Path]) -> str:
    library = Path(lmcore.__file__).parent
    parts = {
        "config": config,
        "inputs": [content_digest(path) for path in inputs],
        # Checkpoints of other code would be gone on from as if they were one's own.
        "code": {file.relative_to(library).as_posix(): file.read_text("utf-8") for file in library.rglob("*.py")},
        "stage": [file.read_text("utf-8") for file in code],
        "packages": {package: importlib.metadata.version(package) for package in PACKAGES},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.warning("the same training runs in another process; waiting for it to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_abandoned(parent: Path, *, keep: Path) -> None:
    """Remove folders that nothing was written to for two weeks: their training will not come back."""
    for folder in _folders(parent):
        if folder != keep and time.time() - folder.stat().st_mtime > ABANDONED_SECONDS:
            logger.info("removing %s, untouched for two weeks", folder.name)
            _remove(folder)


def _bound_results(parent: Path, *, keep: Path) -> None:
    """Remove the oldest results where they are too many or too large; work in progress stays."""
    seen: dict[str, int] = {}
    n_bytes = 0
    results = sorted((f for f in _folders(parent) if (f / RESULT).is_dir()), key=lambda f: -f.stat().st_mtime)
    for folder in [keep, *(folder for folder in results if folder != keep)]:
        model = folder.name.rpartition("-")[0]
        seen[model] = seen.get(model, 0) + 1
        n_bytes += sum(file.stat().st_size for file in (folder / RESULT).rglob("*") if file.is_file())
        is_newest = seen[model] == 1
        if not is_newest and (seen[model] > KEPT_RESULTS or n_bytes > KEPT_BYTES) and not _has_checkpoints(folder):
            _remove(folder)


def _has_checkpoints(folder: Path) -> bool:
    return any(entry.name != RESULT for entry in folder.iterdir())


def _folders(parent: Path) -> list[Path]:
    return [folder for folder in parent.iterdir() if folder.is_dir()]


def _remove(folder: Path) -> None:
    """Remove a training's folder unless a process works in it."""
    with (folder.parent / f"{folder.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        discard(folder)
