"""Checkpoints that are whole or not there, and never believed without their checksums."""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from lmcore.errors import UserError
from lmcore.runtime.files import atomic_folder, file_digest

logger = logging.getLogger(__name__)

KEPT = 2
INTERRUPTED = ".interrupted"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training before ``step``: everything that the rest of it depends on.

    Attributes:
        step: the next step to make.
        tensors: of weights, optimizer and best weights, by name.
        facts: what else is to be known, as JSON values.
        identity: of the training, see :mod:`lmcore.training.identity`.
    """

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    identity: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(folder: Path, checkpoint: Checkpoint, *, is_interrupted: bool = False) -> None:
    """Write ``folder/step-XXXXXXXX`` atomically and flushed to disk.

    The last two of the schedule are kept. One that an interruption leaves between them is kept until the next one: a
    training goes on from it, but never goes back to it, since without the interruption it would not be there. Those of
    later steps go as well: they are damaged, or else the training would have gone on from them.
    """
    name = f"step-{checkpoint.step:08d}{INTERRUPTED if is_interrupted else ''}"
    with atomic_folder(folder / name) as temporary:
        save_file(checkpoint.tensors, temporary / "tensors.safetensors")
        content = {
            "step": checkpoint.step,
            "tensors": file_digest(temporary / "tensors.safetensors"),
            "facts": checkpoint.facts,
            "identity": checkpoint.identity,
        }
        (temporary / "state.json").write_text(_sealed(content), encoding="utf-8")
    scheduled = [path.name for path in _newest_first(folder) if path.name <= name and not _is_interrupted(path)]
    for other in _newest_first(folder):
        if other.name not in {name, *scheduled[:KEPT]}:
            shutil.rmtree(other) if other.is_dir() else other.unlink()


def load_checkpoint(folder: Path, *, is_scheduled: bool = False, before: int | None = None) -> Checkpoint | None:
    """The newest undamaged checkpoint, or None; a damaged one is named in the log and passed over.

    Args:
        folder: where they are.
        is_scheduled: leaves out one that an interruption left.
        before: only those of earlier steps.
    """
    for candidate in _newest_first(folder):
        if is_scheduled and _is_interrupted(candidate):
            continue
        try:
            checkpoint = _read(candidate)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            logger.warning("checkpoint %s is damaged (%s); trying the one before it", candidate.name, error)
            continue
        if before is None or checkpoint.step < before:
            return checkpoint
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)


def _is_interrupted(path: Path) -> bool:
    return path.name.endswith(INTERRUPTED)


def _sealed(content: Mapping[str, Any]) -> str:
    """The one text that says this content, in its order, and its checksum."""
    digest = hashlib.sha256(json.dumps(content, allow_nan=False).encode()).hexdigest()
    return json.dumps({**content, "sha256": digest}, allow_nan=False)


def _read(folder: Path) -> Checkpoint:
    text = (folder / "state.json").read_text(encoding="utf-8")
    state = json.loads(text)
    if not isinstance(state, dict):
        raise TypeError(f"state.json holds {type(state).__name__}, not a training's state")
    content = {key: value for key, value in state.items() if key != "sha256"}
    if _sealed(content) != text:
        raise UserError("state.json does not match its own checksum")
    digest = file_digest(folder / "tensors.safetensors")
    if digest != content["tensors"]:
        raise UserError(f"tensors.safetensors has SHA-256 {digest}, expected {content['tensors']}")
    tensors = load_file(folder / "tensors.safetensors")
    return Checkpoint(content["step"], tensors, content["facts"], content["identity"])
