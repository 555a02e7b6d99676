"""The complete state of a training, saved to and restored from a checkpoint."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lmcore.config.training import TrainingConfig
from lmcore.models.state import RecurrentState
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.batches.batches import Batches
from lmcore.training.checkpoint import Checkpoint
from lmcore.training.ema import AveragedWeights
from lmcore.training.mean_metrics import MeanMetrics
from lmcore.training.optimizer import ModelOptimizer
from lmcore.training.record import TrainingRecord


@dataclass
class TrainingProgress:
    """How far a training has come. The fields are also the names in a checkpoint's ``state.json``."""

    step: int = 0
    """The number of steps so far, skipped ones included."""
    looked_step: int = 0
    """The last step after which everything due (reports, validation) was done."""
    n_targets: int = 0
    n_skipped_steps: int = 0
    n_skipped_in_a_row: int = 0
    n_rollbacks: int = 0
    n_steps_left_out: int = 0
    """Steps whose training data rollbacks have skipped."""
    returned_to: int | None = None
    """The step of the checkpoint of the last rollback, until a step succeeds."""
    best_step: int = 0
    """The step of the best validation; zero until a validation gives a finite loss."""
    best_validation_loss: float = 1e30  # JSON has no infinity
    """The validation loss at ``best_step``."""
    best_score: float | None = None
    """The metric at ``best_step`` by which the best weights are chosen, if that is not the loss."""
    n_validations_without_gain: int = 0
    n_carried_positions: int = 0
    """How many positions the carried state of a recurrent model has read."""
    recent_losses: list[float] = field(default_factory=list)
    """The losses of the last accepted steps, for detecting spikes."""
    unreported: list[tuple[float, float, float]] = field(default_factory=list)
    """Loss, gradient norm and learning rate of each step since the last report."""
    unreported_metrics: list[dict[str, float]] = field(default_factory=list)
    """What the model measured in each of these steps."""
    history: list[dict[str, float]] = field(default_factory=list)
    """The metrics reported so far, each entry with its ``step``."""

    def note_validation(self, loss: float, score: float | None) -> bool:
        """Count a validation; returns whether it is the best so far, by its score if there is one, else by its loss."""
        if score is None:
            is_best = loss < self.best_validation_loss
        else:
            is_best = math.isfinite(loss) and (self.best_score is None or score > self.best_score)
        if is_best:
            self.best_validation_loss, self.best_score, self.best_step = loss, score, self.step
            self.n_validations_without_gain = 0
        else:
            self.n_validations_without_gain += 1
        return is_best

    def report(self) -> dict[str, float]:
        """Mean loss, gradient norm and measured metrics of the unreported steps, and the last learning rate; marks them
        as reported."""
        losses, norms, rates = zip(*self.unreported, strict=True)
        self.unreported.clear()
        n_steps = len(losses)
        measured = MeanMetrics()
        for metrics in self.unreported_metrics:
            measured.add(metrics, 1)
        self.unreported_metrics.clear()
        means = {"loss": sum(losses) / n_steps, "gradient_norm": sum(norms) / n_steps, "learning_rate": rates[-1]}
        return means | measured.means()

    def last_loss(self) -> float:
        """The loss of the last accepted step, or the last reported one; not a number before the first."""
        if self.unreported:
            return self.unreported[-1][0]
        return self.history[-1].get("loss", math.nan) if self.history else math.nan


class TrainerState:
    """The model, its optimizer and everything else that changes from step to step.

    Args:
        model: the model, trained in place.
        optimizer: the optimizer of its weights.
        average: the moving average of its weights, if there is one.
    """

    def __init__(self, model: TrainableModel, optimizer: ModelOptimizer, average: AveragedWeights | None) -> None:
        self.model, self.optimizer, self.average = model, optimizer, average
        self.progress = TrainingProgress()
        self.carried: RecurrentState | None = None
        """What a recurrent model carries from batch to batch."""
        self.best_weights = copy_weights(model)

    def update_weights(self, factor: float, loss: float, gradient_norm: float) -> None:
        """Take an optimizer step, with ``factor`` times the peak learning rates, on the gradients of a loss."""
        progress = self.progress
        self.optimizer.step(factor)
        if self.average is not None:
            self.average.update(progress.step)
        progress.n_skipped_in_a_row = 0
        progress.returned_to = None
        progress.recent_losses.append(loss)
        progress.unreported.append((loss, gradient_norm, factor * self.optimizer.peak_learning_rate))

    def to_checkpoint(self, identity: dict[str, Any]) -> Checkpoint:
        """The current state as a checkpoint."""
        groups: dict[str, Mapping[str, Tensor]] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state(),
            "best": self.best_weights,
            "average": {} if self.average is None else self.average.state(),
            "state": {} if self.carried is None else self.carried.tensors,
        }
        tensors = {
            f"{group}:{name}": tensor.detach().cpu().contiguous()
            for group, state in groups.items()
            for name, tensor in state.items()
        }
        self.progress.n_carried_positions = 0 if self.carried is None else self.carried.length
        return Checkpoint(self.progress.step, tensors, asdict(self.progress), identity)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state that :meth:`to_checkpoint` captured."""
        groups = {group: tensors_of(checkpoint, group) for group in ("model", "optimizer", "best", "average", "state")}
        device = self.model.device
        self.model.load_state_dict(groups["model"])
        self.optimizer.load_state(groups["optimizer"])
        self.best_weights = {name: tensor.to(device) for name, tensor in groups["best"].items()}
        if self.average is not None:
            self.average.load_state(groups["average"])
        self.progress = TrainingProgress(**checkpoint.facts)
        carried = {name: tensor.to(device) for name, tensor in groups["state"].items()}
        self.carried = RecurrentState(carried, self.progress.n_carried_positions) if carried else None


def tensors_of(checkpoint: Checkpoint, group: str) -> dict[str, Tensor]:
    """A checkpoint's tensors of one group (``model``, ``optimizer``, ...), by their names within it."""
    prefix = f"{group}:"
    return {name.removeprefix(prefix): tensor for name, tensor in checkpoint.tensors.items() if name.startswith(prefix)}


def training_record(
    state: TrainerState, config: TrainingConfig, batches: Batches, *, dtype: torch.dtype, seed: int
) -> TrainingRecord:
    """The record of a training; it has no times, paths or machine names."""
    done = state.progress
    n_batches = (done.step + done.n_steps_left_out) * config.gradient_accumulation_steps
    return TrainingRecord(
        n_parameters=sum(parameter.numel() for parameter in state.model.parameters()),
        n_steps=done.step,
        n_batches=n_batches,
        n_epochs=round(n_batches / batches.batches_per_epoch, 4),
        n_targets=done.n_targets,
        n_skipped_steps=done.n_skipped_steps,
        n_rollbacks=done.n_rollbacks,
        best_step=done.best_step,
        best_validation_loss=done.best_validation_loss,
        metric_for_best_model=None if done.best_score is None else config.metric_for_best_model,
        best_metric=done.best_score,
        precision=str(dtype).removeprefix("torch."),
        seed=seed,
        history=done.history,
    )


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the current weights, by name."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
