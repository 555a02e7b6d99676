"""The gradients of a training step: those of its batches, summed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmcore.models.state import RecurrentState
from lmcore.models.trainable import StatefulModel, TrainableModel
from lmcore.tokens.batches.batches import Batch
from lmcore.training.mean_metrics import MeanMetrics


@dataclass(frozen=True)
class StepLoss:
    """What a step found besides its gradients.

    Attributes:
        loss: the mean loss per target, in nats.
        n_targets: the number of targets.
        carried: the state of a recurrent model after the step; None for other models.
        measured: what the model measured besides the loss.
    """

    loss: float
    n_targets: int
    carried: RecurrentState | None
    measured: dict[str, float]


class StepGradients:
    """Computes the loss of batches, and adds its gradients to those of the model's parameters.

    Args:
        model: the model.
        label_smoothing: that of the loss in training.
        is_compiled: whether the loss is compiled.
    """

    def __init__(self, model: TrainableModel, label_smoothing: float, *, is_compiled: bool) -> None:
        self._model, self._label_smoothing = model, label_smoothing
        self._loss = torch.compile(model.loss) if is_compiled else model.loss

    def add(
        self, batches: Sequence[Batch], carried: RecurrentState | None, *, before_batch: Callable[[], None]
    ) -> StepLoss:
        """Add the gradients of the mean loss per target.

        Args:
            batches: the batches of the step.
            carried: the state of a recurrent model before the step.
            before_batch: called before each batch.
        """
        n_targets, measured = sum(batch.n_targets for batch in batches), MeanMetrics()
        loss, divisor = torch.zeros((), device=self._model.device), max(n_targets, 1)
        for batch in batches:
            before_batch()
            batch_loss, carried = self.loss_of(batch, carried, self._label_smoothing)
            (batch_loss / divisor).backward()  # type: ignore[no-untyped-call]
            loss += batch_loss.detach() / divisor
            measured.add(self._model.measured(), batch.n_targets)
        return StepLoss(loss.item(), n_targets, carried, measured.means())

    def loss_of(
        self, batch: Batch, carried: RecurrentState | None, label_smoothing: float = 0.0
    ) -> tuple[Tensor, RecurrentState | None]:
        """The summed loss of a batch; for a model that carries a state, also the state after it."""
        if isinstance(self._model, StatefulModel) and not batch.arguments:
            state = carried if batch.continues else None
            return self._model.loss_and_state(batch.tokens, batch.targets, state, label_smoothing=label_smoothing)
        return self._loss(batch.tokens, batch.targets, label_smoothing=label_smoothing, **batch.arguments), None
