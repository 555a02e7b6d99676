"""When a training saves its state to a checkpoint, and when it restores it."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from lmcore.errors import UserError
from lmcore.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
    stored_checkpoints,
)
from lmcore.training.identity import STARTING_WEIGHTS, differences, tensors_digest
from lmcore.training.state import TrainerState, tensors_of

logger = logging.getLogger(__name__)


class IsSame(Protocol):
    """Whether a training has the same first steps as this one."""

    def __call__(self, earlier: Mapping[str, Any], /, *, step: int) -> bool:
        """Whether a training with the identity ``earlier`` has the same steps up to ``step``."""


class CheckpointManager:
    """Saves and restores the state of one training.

    Args:
        folder: the checkpoints of this training, and of no other.
        state: the state that is saved and restored.
        identity: what identifies the training, see :mod:`lmcore.training.identity`.
        kept_before_step: the last scheduled checkpoint of a step up to this one is kept to the end.
    """

    def __init__(
        self, folder: Path, state: TrainerState, identity: dict[str, Any], *, kept_before_step: int = 0
    ) -> None:
        self._folder, self._state, self._identity = folder, state, identity
        self._kept_before_step = kept_before_step
        self._is_consistent = True
        self._saved: tuple[int, int] | None = None
        """The step of the last checkpoint, and the last step that was completed in it."""

    @contextmanager
    def state_update(self) -> Iterator[None]:
        """While the state moves, part by part, from one step to the next; it is not saved in between."""
        self._is_consistent = False
        yield
        self._is_consistent = True

    def resume(self) -> bool:
        """Restore the newest checkpoint and return True; False without one.

        Raises:
            UserError: if the checkpoints belong to another training.
        """
        checkpoint = load_checkpoint(self._folder)
        if checkpoint is None:
            return False
        self._check_identity(checkpoint)
        self._restore(checkpoint)
        return True

    def continue_from(self, folders: Sequence[Path], is_same: IsSame, *, n_steps: int) -> Path | None:
        """Restore the checkpoint of another training that did most of this training's steps; returns its folder.

        Args:
            folders: the folders with the checkpoints of other trainings.
            is_same: whether this training has the same steps up to a step as one with another identity.
            n_steps: the number of steps of this training.
        """
        found = [stored for folder in folders for stored in stored_checkpoints(folder) if stored.step]
        for stored in sorted(found, key=lambda stored: (-stored.step, stored.path)):
            # The last step is validated even if no validation is due at its number.
            is_open = stored.step < n_steps or stored.facts["looked_step"] < stored.step
            is_usable = is_open and is_same(stored.identity, step=stored.step)
            if not is_usable or (checkpoint := stored.load()) is None:
                continue
            scheduled = [other for other in stored_checkpoints(stored.path.parent) if not other.is_interrupted]
            before = next((other for other in scheduled if other.step < stored.step), None)
            # What this training would roll back to.
            if before is not None and (earlier := before.load()) is not None:
                save_checkpoint(self._folder, replace(earlier, identity=self._identity))
            self._restore(checkpoint)
            self.save(is_interrupted=stored.is_interrupted)
            return stored.path.parent
        return None

    def save_last(self) -> None:
        """Save the last step, for a longer training to continue from, unless steps are being skipped."""
        if not self._state.progress.n_skipped_in_a_row:
            self.save(is_interrupted=True, is_last=True)

    def save(self, *, is_interrupted: bool = False, is_last: bool = False) -> None:
        """Save a checkpoint of the current state."""
        checkpoint = self._state.to_checkpoint(self._identity)
        save_checkpoint(
            self._folder,
            checkpoint,
            is_interrupted=is_interrupted,
            is_last=is_last,
            kept_before_step=self._kept_before_step,
        )
        self._saved = (checkpoint.step, self._state.progress.looked_step)

    def save_interrupted(self) -> None:
        """Save the last complete step, unless it is already saved.

        Nothing is saved while steps are being skipped: an uninterrupted training would have no checkpoint there, and
        the resumed one repeats those steps.
        """
        progress = self._state.progress
        is_new = self._saved not in (None, (progress.step, progress.looked_step))
        if self._is_consistent and is_new and not progress.n_skipped_in_a_row:
            self.save(is_interrupted=True)
            logger.info("interrupted; saved a checkpoint at step %d", progress.step)

    def roll_back(self, reason: str, max_rollbacks: int) -> None:
        """Restore the last good checkpoint, and skip the training data that caused the rollback.

        If no step succeeded since the previous rollback, the weights of that checkpoint were already ruined: then the
        checkpoint before it is restored.

        Raises:
            FloatingPointError: after ``max_rollbacks`` rollbacks, or if there is no checkpoint.
        """
        before = self._state.progress
        if before.n_rollbacks >= max_rollbacks:
            raise FloatingPointError(
                f"{before.n_skipped_in_a_row} steps in a row were skipped, after {before.n_rollbacks} rollbacks "
                f"(last at step {before.step}: {reason}): lower the learning rate or train in float32; "
                "the last good checkpoint is kept"
            )
        checkpoint = load_checkpoint(self._folder, skip_interrupted=True, before_step=before.returned_to)
        checkpoint = checkpoint or load_checkpoint(self._folder, skip_interrupted=True)
        if checkpoint is None:
            raise FloatingPointError(f"step {before.step}: {reason}, and {self._folder} has no checkpoint to restore")
        self._restore(checkpoint)
        self._state.carried = None
        progress = self._state.progress
        n_steps_back = before.step - progress.step
        progress.n_skipped_steps = before.n_skipped_steps
        progress.n_rollbacks = before.n_rollbacks + 1
        progress.n_steps_left_out = before.n_steps_left_out + n_steps_back
        progress.returned_to = progress.step
        logger.warning(
            "rolled back to the checkpoint at step %d; the data of %d steps is skipped", progress.step, n_steps_back
        )
        self.save()

    def _restore(self, checkpoint: Checkpoint) -> None:
        self._state.restore(checkpoint)
        self._saved = (checkpoint.step, self._state.progress.looked_step)

    def _check_identity(self, checkpoint: Checkpoint) -> None:
        own = self._identity[STARTING_WEIGHTS]
        if own in (tensors_digest(tensors_of(checkpoint, group)) for group in ("model", "best")):
            # The given model is the interrupted one itself, or the result of this training.
            self._identity[STARTING_WEIGHTS] = checkpoint.identity.get(STARTING_WEIGHTS)
        if differing := differences(checkpoint.identity, self._identity):
            raise UserError(
                f"{self._folder} holds the checkpoints of another training ({'; '.join(differing)}): use a "
                "separate folder for this training, or remove those checkpoints"
            )
