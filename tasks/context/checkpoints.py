"""A folder per training: its checkpoints while it runs, so that it can resume after a kill, and then its result.

The last state of a finished training (weights, optimizer, data position) is kept beside its result, so that the same
training with more steps continues from it.

A finished model is safe once DVC has stored it in its cache and its lock, which the stage cannot know: DVC may be
killed after the training has ended, or the stage while it trains its second model. So results are kept for a while,
and a training that is started again with the same parameters, inputs and code returns the earlier result.
"""

import fcntl
import hashlib
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

from lmcore.errors import UserError
from lmcore.runtime.damaged_files import set_aside
from lmcore.runtime.files import atomic_folder, content_digest, folder_digest
from tasks.context.sealed import discard, read_sealed, write_sealed

logger = logging.getLogger(__name__)

ABANDONED_SECONDS = 14 * 24 * 3600
KEPT_RESULTS = 3
"""The number of results kept per model: a queue of experiments finishes more than one at a time."""
KEPT_BYTES = 2 * 2**30
"""The total size up to which results are kept; the newest one of each model is always kept."""

KEPT_STATE_BYTES = 8 * 2**30
"""The total size up to which the states of finished trainings are kept: the newest one of each model."""

RESULT, CONTENT, SEAL = "result", "content", "result.json"
CHECKPOINT = "step-"
"""How the names of checkpoints begin (:mod:`lmcore.training.checkpoint`)."""
STATE = "state"
LIMITS = ("max_steps", "num_train_epochs", "early_stopping_patience", "schedule")
"""Settings of ``training`` in which a training may differ from one that it continues."""
KEY_CHARACTERS = 16


class Result(BaseModel):
    """The checksum file of a finished training."""

    digest: str
    """SHA-256 of the folder ``content``."""


@dataclass(frozen=True)
class WorkFolder:
    """The folder of one training: its checkpoints, and its result once it has finished."""

    path: Path
    earlier: tuple[Path, ...] = ()
    """Folders with the states of trainings that differ only in their limits and learning rates."""

    def result(self) -> Path | None:
        """The folder of the result, or None if there is none; a damaged result is reported and set aside."""
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

    def save_result(self, write: Callable[[Path], None]) -> Path:
        """Let ``write`` fill a folder with the result, store it atomically and return its new path."""
        with atomic_folder(self.path / RESULT) as temporary:
            (temporary / CONTENT).mkdir()
            write(temporary / CONTENT)
            write_sealed(temporary / SEAL, Result(digest=folder_digest(temporary / CONTENT)))
        return self.path / RESULT / CONTENT

    def remove_result(self) -> None:
        """Remove the result, so that the training is repeated."""
        discard(self.path / RESULT)

    def remove_checkpoints(self) -> None:
        """Remove everything but the result."""
        for entry in self.path.iterdir():
            if entry.name != RESULT:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def keep_state(self) -> None:
        """Move the checkpoints out of the way of a later start, and remove everything else but the result."""
        checkpoints = [entry for entry in self.path.iterdir() if entry.name.startswith(CHECKPOINT)]
        if checkpoints:
            discard(self.path / STATE)
            (self.path / STATE).mkdir()
        for entry in self.path.iterdir():
            if entry in checkpoints:
                entry.rename(self.path / STATE / entry.name)
            elif entry.name not in (RESULT, STATE):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@contextmanager
def checkpoint_folder(
    parent: Path, name: str, *, config: Mapping[str, Any], inputs: Sequence[Path], code: str
) -> Iterator[WorkFolder]:
    """Lock and yield the folder of a training; trainings that differ in anything given here have different folders.

    Another process that starts the same training waits. When the block ends without an error, the result is kept for a
    while, and so are the last checkpoints, for a longer training; otherwise both stay for the next start of the same
    training.

    Args:
        parent: the folder of all trainings.
        name: the model's name, with which the folder's name begins.
        config: all parameters that the result depends on, as JSON values.
        inputs: files and folders that the result depends on, compared by content.
        code: the fingerprint of the code and packages (:func:`tasks.context.stage_code.stage_code`).
    """
    digests = [content_digest(path) for path in inputs]
    kin = f"{name}-{_key(_without_limits(config), digests, code)}"
    folder = parent / f"{kin}{_key(config, digests, code)}"
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent, keep=folder)
    with _locked(parent / f"{folder.name}.lock"):
        folder.mkdir(exist_ok=True)
        # Others may write to theirs meanwhile; every checkpoint is verified when it is read.
        others = [other for other in _folders(parent) if other.name.startswith(kin) and other != folder]
        earlier = (folder / STATE, *(path for other in others for path in (other / STATE, other)))
        work = WorkFolder(folder, tuple(path for path in earlier if path.is_dir()))
        yield work
        work.keep_state()
        _bound_results(parent, keep=folder)
        _bound_states(parent, keep=folder)


def training_of(folder: Path) -> str:
    """The name of the training's folder that one of :attr:`WorkFolder.earlier` belongs to."""
    return folder.parent.name if folder.name == STATE else folder.name


def _key(config: Mapping[str, Any], digests: Sequence[str], code: str) -> str:
    parts = {"config": config, "inputs": digests, "code": code}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:KEY_CHARACTERS]


def _without_limits(config: Mapping[str, Any]) -> dict[str, Any]:
    training = config.get("training")
    if not isinstance(training, Mapping):
        return dict(config)
    return {**config, "training": {name: value for name, value in training.items() if name not in LIMITS}}


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.warning("the same training is running in another process; waiting for it to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _locked_if_free(folder: Path) -> Iterator[bool]:
    """Lock a training's folder; false if another process has it."""
    with (folder.parent / f"{folder.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _remove_abandoned(parent: Path, *, keep: Path) -> None:
    """Remove folders that nothing was written to for two weeks: nobody will resume their training."""
    for folder in _folders(parent):
        if folder != keep and time.time() - folder.stat().st_mtime > ABANDONED_SECONDS:
            logger.info("removing the checkpoints %s, unused for two weeks", folder.name)
            _remove(folder)


def _bound_results(parent: Path, *, keep: Path) -> None:
    """Remove the oldest results if there are too many or they are too large; trainings with checkpoints stay."""
    seen: dict[str, int] = {}
    n_bytes = 0
    results = sorted((f for f in _folders(parent) if (f / RESULT).is_dir()), key=lambda f: -f.stat().st_mtime)
    for folder in [keep, *(folder for folder in results if folder != keep)]:
        model = folder.name.rpartition("-")[0]
        seen[model] = seen.get(model, 0) + 1
        n_bytes += _size(folder / RESULT)
        is_newest = seen[model] == 1
        if not is_newest and (seen[model] > KEPT_RESULTS or n_bytes > KEPT_BYTES) and not _has_checkpoints(folder):
            _remove(folder)


def _bound_states(parent: Path, *, keep: Path) -> None:
    """Keep the newest state of each model, unless all of them together are too large."""
    models: set[str] = set()
    n_bytes = 0
    states = sorted(
        (f for f in _folders(parent) if (f / STATE).is_dir()), key=lambda f: (f != keep, -f.stat().st_mtime)
    )
    for folder in states:
        model = folder.name.rpartition("-")[0]
        n_bytes += _size(folder / STATE)
        if model in models or n_bytes > KEPT_STATE_BYTES:
            with _locked_if_free(folder) as is_free:
                if is_free:
                    discard(folder / STATE)
        models.add(model)


def _has_checkpoints(folder: Path) -> bool:
    return any(entry.name.startswith(CHECKPOINT) for entry in folder.iterdir())


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _folders(parent: Path) -> list[Path]:
    return [folder for folder in parent.iterdir() if folder.is_dir()]


def _remove(folder: Path) -> None:
    """Remove a training's folder unless a process is using it."""
    with _locked_if_free(folder) as is_free:
        if is_free:
            discard(folder)
