"""Measures a model on its validation data while it is trained."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from lmcore.models.state import RecurrentState
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.batches.batches import Batch, Batches
from lmcore.training.ema import AveragedWeights
from lmcore.training.mean_metrics import MeanMetrics
from lmcore.training.signals import DeferredSignals

LossOf = Callable[[Batch, RecurrentState | None], tuple[Tensor, RecurrentState | None]]
"""Gives the summed loss of a batch and the state after it, from the state before it."""
MeasureModel = Callable[[], float]
"""Measures a model on its validation data; a higher value is better."""


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Attributes:
        loss: the mean loss in nats per target.
        score: the metric by which the best weights are chosen; None if that is the loss.
        measured: what the model measured besides the loss, by names that begin with ``validation_``.
    """

    loss: float
    score: float | None
    measured: dict[str, float]

    @property
    def is_finite(self) -> bool:
        """Whether the loss is a number that can be compared."""
        return math.isfinite(self.loss)

    def metrics(self, name: str) -> dict[str, float]:
        """Everything by its name in the training record; ``name`` is that of the score."""
        score = {} if self.score is None else {f"validation_{name}": self.score}
        return {"validation_loss": self.loss, **self.measured, **score}


@dataclass(frozen=True)
class Validator:
    """Validates the weights that are to be kept: their moving average, if there is one.

    Args:
        model: the model.
        batches: its batches.
        average: the moving average of its weights.
        loss_of: the loss of a batch.
        signals: the signals that end a validation.
        measure: the metric by which the best weights are chosen; None if that is the loss.
    """

    model: TrainableModel
    batches: Batches
    average: AveragedWeights | None
    loss_of: LossOf
    signals: DeferredSignals
    measure: MeasureModel | None

    @torch.no_grad()
    def validate(self) -> Validation | None:
        """None if a signal arrived: it is delivered only once the model has its own weights back."""
        self.model.eval()
        total, n_targets, carried, measured = 0.0, 0, None, MeanMetrics()
        with self.validated_weights():
            for batch in self.batches.validation_batches():
                if self.signals.are_pending:
                    return None
                loss, carried = self.loss_of(batch.to(self.model.device), carried)
                total += loss.item()
                n_targets += batch.n_targets
                measured.add(self.model.measured(), batch.n_targets)
            score = None if self.measure is None else self.measure()
        return Validation(total / n_targets, score, measured.means(prefix="validation_"))

    def validated_weights(self) -> AbstractContextManager[None]:
        """A context in which the model has the weights that are validated and kept."""
        return nullcontext() if self.average is None else self.average.swapped_in()
