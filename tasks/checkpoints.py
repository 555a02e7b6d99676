"""Folders for work in progress: one per training, found again after a kill, gone after success."""

import fcntl
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmcore
from lmcore.files import content_digest

logger = logging.getLogger(__name__)

ABANDONED_SECONDS = 14 * 24 * 3600


@contextmanager
def checkpoint_folder(parent: Path, name: str, *, config: Mapping[str, Any], inputs: Sequence[Path]) -> Iterator[Path]:
    """A folder of its own for a training with this configuration, these inputs (files or folders) and this code.

    Only one process at a time has it; another one waits. It is removed when the block ends well and kept when it
    does not, so that the same training, started again, finds its checkpoints.
    """
    key = _key(config, inputs)
    folder = parent / f"{name}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent, keep=folder)
    with _locked(parent / f"{name}-{key}.lock"):
        folder.mkdir(exist_ok=True)
        yield folder
        shutil.rmtree(folder)


def _key(config: Mapping[str, Any], inputs: Sequence[Path]) -> str:
    code = Path(lmcore.__file__).parent
    parts = {
        "config": config,
        "inputs": [content_digest(path) for path in inputs],
        # Checkpoints of other code would be gone on from as if they were one's own.
        "code": {file.relative_to(code).as_posix(): file.read_text("utf-8") for file in sorted(code.rglob("*.py"))},
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
    for folder in parent.iterdir():
        if folder.is_dir() and folder != keep and time.time() - folder.stat().st_mtime > ABANDONED_SECONDS:
            logger.info("removing %s, untouched for two weeks", folder.name)
            shutil.rmtree(folder, ignore_errors=True)
