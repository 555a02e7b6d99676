"""The files of a checkpoint: written atomically, and verified by checksum before they are used."""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from lmcore.errors import UserError
from lmcore.runtime.files import atomic_folder, file_digest

logger = logging.getLogger(__name__)

SCHEDULED_CHECKPOINTS_KEPT = 2
UNREADABLE = (OSError, ValueError, TypeError, KeyError, RecursionError)
"""What reading a damaged checkpoint raises."""
TENSORS, STATE = "tensors.safetensors", "state.json"
INTERRUPTED = ".interrupted"
"""The end of the name of a checkpoint that an interrupted training saved outside its schedule."""


@dataclass(frozen=True)
class Checkpoint:
    """The complete state of a training after ``step`` steps.

    Attributes:
        step: the number of completed steps.
        tensors: weights, optimizer state and best weights, by name.
        facts: the rest of the state as JSON values.
        identity: what identifies the training, see :mod:`lmcore.training.identity`.
    """

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    identity: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(
    folder: Path,
    checkpoint: Checkpoint,
    *,
    is_interrupted: bool = False,
    is_last: bool = False,
    kept_before_step: int = 0,
) -> None:
    """Write ``folder/step-XXXXXXXX`` atomically, flushed to disk, and remove the checkpoints that are obsolete.

    The last two scheduled checkpoints are kept (after the last step, the final one and one to which a longer training
    may roll back), and the last one of a step up to ``kept_before_step``, from which another training may branch off.
    One that an interruption leaves between them is kept until the next checkpoint: a training resumes from it, but
    never rolls back to it, because without the interruption it would not exist. Checkpoints of later steps are removed
    as well: they are corrupt, or the training would have resumed from them.
    """
    name = f"step-{checkpoint.step:08d}{INTERRUPTED if is_interrupted else ''}"
    with atomic_folder(folder / name) as temporary:
        save_file(checkpoint.tensors, temporary / TENSORS)
        content = {
            "step": checkpoint.step,
            "tensors": file_digest(temporary / TENSORS),
            "facts": checkpoint.facts,
            "identity": checkpoint.identity,
        }
        (temporary / STATE).write_text(_with_checksum(content), encoding="utf-8")
    scheduled = [path.name for path in _newest_first(folder) if path.name <= name and not _is_interrupted(path)]
    n_kept = 1 if is_last else SCHEDULED_CHECKPOINTS_KEPT
    branching = [other for other in scheduled if 0 < _step_of(other) <= kept_before_step]
    for other in _newest_first(folder):
        if other.name not in {name, *scheduled[:n_kept], *branching[:1]}:
            shutil.rmtree(other) if other.is_dir() else other.unlink()


@dataclass(frozen=True)
class StoredCheckpoint:
    """A checkpoint on disk, whose tensors have not been read.

    Attributes:
        path: its folder.
        step, facts, identity: as in :class:`Checkpoint`.
    """

    path: Path
    step: int
    facts: dict[str, Any]
    identity: dict[str, Any]

    @property
    def is_interrupted(self) -> bool:
        """Whether it was saved outside the schedule of its training."""
        return _is_interrupted(self.path)

    def load(self) -> Checkpoint | None:
        """The whole checkpoint; None if it is corrupt, which is reported in the log."""
        try:
            return _read(self.path)
        except UNREADABLE as error:
            logger.warning("checkpoint %s is corrupt (%s); it is not used", self.path, error)
            return None


def stored_checkpoints(folder: Path) -> list[StoredCheckpoint]:
    """The checkpoints in a folder, the newest first, without those whose ``state.json`` is corrupt."""
    found = []
    for path in _newest_first(folder):
        with suppress(*UNREADABLE):
            state = _read_state(path)
            found.append(StoredCheckpoint(path, state["step"], state["facts"], state["identity"]))
    return found


def load_checkpoint(
    folder: Path, *, skip_interrupted: bool = False, before_step: int | None = None
) -> Checkpoint | None:
    """The newest intact checkpoint, or None; a corrupt one is reported in the log and skipped.

    Args:
        folder: the folder of the checkpoints.
        skip_interrupted: skip a checkpoint that an interrupted training saved outside its schedule.
        before_step: consider only checkpoints of earlier steps.
    """
    for candidate in _newest_first(folder):
        if skip_interrupted and _is_interrupted(candidate):
            continue
        try:
            checkpoint = _read(candidate)
        except UNREADABLE as error:
            logger.warning("checkpoint %s is corrupt (%s); trying the previous one", candidate.name, error)
            continue
        if before_step is None or checkpoint.step < before_step:
            return checkpoint
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)


def _is_interrupted(path: Path) -> bool:
    return path.name.endswith(INTERRUPTED)


def _with_checksum(content: Mapping[str, Any]) -> str:
    """The content as JSON, in its order, with its SHA-256 as the last key."""
    digest = hashlib.sha256(json.dumps(content, allow_nan=False).encode()).hexdigest()
    return json.dumps({**content, "sha256": digest}, allow_nan=False)


def _read(folder: Path) -> Checkpoint:
    content = _read_state(folder)
    digest = file_digest(folder / TENSORS)
    if digest != content["tensors"]:
        raise UserError(f"{TENSORS} has SHA-256 {digest}, expected {content['tensors']}")
    return Checkpoint(content["step"], load_file(folder / TENSORS), content["facts"], content["identity"])


def _read_state(folder: Path) -> dict[str, Any]:
    """The content of ``state.json``, checked by its checksum."""
    text = (folder / STATE).read_text(encoding="utf-8")
    state = json.loads(text)
    if not isinstance(state, dict):
        raise TypeError(f"{STATE} holds a {type(state).__name__}, expected an object")
    content = {key: value for key, value in state.items() if key != "sha256"}
    if _with_checksum(content) != text:
        raise UserError(f"{STATE} does not match its own checksum")
    return content


def _step_of(name: str) -> int:
    return int(name.removeprefix("step-").removesuffix(INTERRUPTED))
