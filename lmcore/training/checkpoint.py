"""Checkpoints that are whole or not there, and never believed without their checksum."""

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from lmcore.files import atomic_folder, file_digest

logger = logging.getLogger(__name__)

KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training before ``step``: everything that the rest of it depends on.

    Attributes:
        step: the next step to make.
        tensors: of weights, optimizer and best weights, by name.
        facts: what else is to be known, as JSON values.
    """

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write ``folder/step-XXXXXXXX`` atomically and flushed to disk; older ones beyond the last two go."""
    with atomic_folder(folder / f"step-{checkpoint.step:08d}") as temporary:
        save_file(checkpoint.tensors, temporary / "tensors.safetensors")
        digest = file_digest(temporary / "tensors.safetensors")
        content = json.dumps({"step": checkpoint.step, "sha256": digest, "facts": checkpoint.facts})
        (temporary / "state.json").write_text(content, encoding="utf-8")
    for old in _newest_first(folder)[KEPT:]:
        shutil.rmtree(old)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest undamaged checkpoint, or None; a damaged one is named in the log and passed over."""
    for candidate in _newest_first(folder):
        try:
            return _read(candidate)
        except (OSError, ValueError, KeyError) as error:
            logger.warning("checkpoint %s is damaged (%s); trying the one before it", candidate.name, error)
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)


def _read(folder: Path) -> Checkpoint:
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    digest = file_digest(folder / "tensors.safetensors")
    if digest != state["sha256"]:
        raise ValueError(f"tensors have SHA-256 {digest}, expected {state['sha256']}")
    return Checkpoint(state["step"], load_file(folder / "tensors.safetensors"), state["facts"])
