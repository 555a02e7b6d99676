"""When a training's state is saved to a checkpoint, and when it is restored from one."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmcore.errors import UserError
from lmcore.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lmcore.training.identity import STARTING_WEIGHTS, differences, tensors_digest
from lmcore.training.state import TrainerState, tensors_of

logger = logging.getLogger(__name__)


class Keeper:
    """The checkpoints of one training.

    Args:
        folder: of this training's own.
        state: what is kept, and given back.
        identity: of the training, see :mod:`lmcore.training.identity`.
    """

    def __init__(self, folder: Path, state: TrainerState, identity: dict[str, Any]) -> None:
        self._folder, self._state, self._identity = folder, state, identity
        self._is_whole = True
        self._kept: tuple[int, int] | None = None
        """The step of the last checkpoint, and the last one looked at in it."""

    @contextmanager
    def changing(self) -> Iterator[None]:
        """While the state changes, part by part, from that of one step to that of the next: it is not to be kept."""
        self._is_whole = False
        yield
        self._is_whole = True

    def resume(self) -> bool:
        """Give back the newest checkpoint; where there is none, keep what the very first steps can go back to.

        Raises:
            ValueError: if the checkpoints are another training's.
        """
        checkpoint = load_checkpoint(self._folder)
        if checkpoint is None:
            self.keep()
            return False
        self._check_identity(checkpoint)
        self._restore(checkpoint)
        return True

    def keep(self, *, is_interrupted: bool = False) -> None:
        """Write a checkpoint of the current state."""
        checkpoint = self._state.to_checkpoint(self._identity)
        save_checkpoint(self._folder, checkpoint, is_interrupted=is_interrupted)
        self._kept = (checkpoint.step, self._state.done.looked_step)

    def keep_interrupted(self) -> None:
        """Save the last complete step, unless it is already saved.

        While steps are skipped none is kept: without the interruption there would have been no checkpoint either, and
        those steps are made again.
        """
        done = self._state.done
        if self._is_whole and not done.n_skipped_in_a_row and self._kept not in (None, (done.step, done.looked_step)):
            self.keep(is_interrupted=True)
            logger.info("interrupted; the checkpoint at step %d is kept", done.step)

    def go_back(self, reason: str, max_rollbacks: int) -> None:
        """Go back to the last good checkpoint, and skip the data that caused the rollback.

        Where the last return has led to no step that could be made, the weights there were ruined already: then it is
        the checkpoint before that one.

        Raises:
            FloatingPointError: if that was done ``max_rollbacks`` times, or there is nothing to go back to.
        """
        before = self._state.done
        if before.n_rollbacks >= max_rollbacks:
            raise FloatingPointError(
                f"{before.n_skipped_in_a_row} steps in a row were skipped, after {before.n_rollbacks} rollbacks "
                f"(last at step {before.step}: {reason}): lower the learning rate or train in float32; "
                "the last good checkpoint is kept"
            )
        checkpoint = load_checkpoint(self._folder, is_scheduled=True, before=before.returned_to)
        checkpoint = checkpoint or load_checkpoint(self._folder, is_scheduled=True)
        if checkpoint is None:
            raise FloatingPointError(f"step {before.step}: {reason}, and no checkpoint in {self._folder} to go back to")
        self._restore(checkpoint)
        self._state.carried = None
        done = self._state.done
        n_back = before.step - done.step
        done.n_skipped_steps = before.n_skipped_steps
        done.n_rollbacks = before.n_rollbacks + 1
        done.n_steps_left_out = before.n_steps_left_out + n_back
        done.returned_to = done.step
        logger.warning("back to the checkpoint at step %d; the data of %d steps is skipped", done.step, n_back)
        self.keep()

    def _restore(self, checkpoint: Checkpoint) -> None:
        self._state.take_over(checkpoint)
        self._kept = (checkpoint.step, self._state.done.looked_step)

    def _check_identity(self, checkpoint: Checkpoint) -> None:
        own = self._identity[STARTING_WEIGHTS]
        if own in (tensors_digest(tensors_of(checkpoint, group)) for group in ("model", "best")):
            # The model in hand is the one that was interrupted, or has been trained.
            self._identity[STARTING_WEIGHTS] = checkpoint.identity.get(STARTING_WEIGHTS)
        if differing := differences(checkpoint.identity, self._identity):
            raise UserError(
                f"{self._folder} holds the checkpoints of another training ({'; '.join(differing)}): give this one a "
                "folder of its own, or remove that one's"
            )
