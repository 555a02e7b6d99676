"""The training loop of every gradient-trained model, which stops at any moment and goes on exactly from there."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lmcore.device import keep_freed_memory
from lmcore.models.causal import CarriedState, RecurrentModel
from lmcore.models.trainable import TrainableModel
from lmcore.progress import Work, progress
from lmcore.tokens.batches import Batch, Batches
from lmcore.training.averaging import AveragedWeights
from lmcore.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lmcore.training.config import TrainingConfig
from lmcore.training.feeding import Feed
from lmcore.training.optimizer import ModelOptimizer
from lmcore.training.precision import compute_dtype, is_compiled, use_deterministic_algorithms
from lmcore.training.rate import Rate
from lmcore.training.schedule import learning_rate_factor
from lmcore.training.stability import reason_to_skip

logger = logging.getLogger(__name__)

OnMetrics = Callable[[int, Mapping[str, float]], None]
"""Called with a step (counted from 1) and figures by name."""


@dataclass
class Progress:
    """What has happened so far; with weights and optimizer it is all that the rest depends on."""

    step: int = 0
    n_targets: int = 0
    n_skipped_steps: int = 0
    n_skipped_in_a_row: int = 0
    n_rollbacks: int = 0
    n_steps_left_out: int = 0
    """Of the data: a rollback leaves out what led to it."""
    best_step: int = 0
    best_validation_loss: float = 1e30  # JSON knows no infinity
    n_validations_without_gain: int = 0
    n_carried_positions: int = 0
    """How many positions a recurrent model's state has seen."""
    recent_losses: list[float] = field(default_factory=list)
    """Of the last accepted steps, by which a spike is told."""
    unreported: list[tuple[float, float, float]] = field(default_factory=list)
    """Loss, gradient norm and learning rate of each step since the last report."""
    history: list[dict[str, float]] = field(default_factory=list)


def count_steps(config: TrainingConfig, batches: Batches) -> int:
    """Steps until ``max_steps`` or ``max_epochs`` is reached, whichever comes first; at least one."""
    per_epoch = batches.n_examples / (batches.batch_size * config.accumulated_batches)
    return max(1, min(config.max_steps, math.ceil(config.max_epochs * per_epoch)))


def train(
    model: TrainableModel,
    batches: Batches,
    config: TrainingConfig,
    *,
    seed: int,
    checkpoints: Path,
    on_metrics: OnMetrics,
    description: str,
) -> dict[str, Any]:
    """Train ``model`` in place, ending with the weights of the best validation.

    A checkpoint found in ``checkpoints`` is gone on from, and the figures that it holds are reported once more, so
    that a listener that lost some can catch up. On one machine the result is bit-identical to that of a training that
    was never interrupted (on a GPU with ``is_deterministic``).

    Returns:
        the training record: steps, tokens, best validation and the history of figures; nothing of time or place.

    Raises:
        FloatingPointError: if steps are skipped one after the other, and going back does not help.
    """
    return _Training(model, batches, config, seed, checkpoints, on_metrics).run(description)


class _Training:
    def __init__(
        self,
        model: TrainableModel,
        batches: Batches,
        config: TrainingConfig,
        seed: int,
        checkpoints: Path,
        on_metrics: OnMetrics,
    ) -> None:
        self.model, self.batches, self.config, self.seed = model, batches, config, seed
        self.checkpoints, self.on_metrics = checkpoints, on_metrics
        self.device = model.device
        self.n_steps = count_steps(config, batches)
        self.optimizer = ModelOptimizer(model, config.optimizer)
        decay = config.weight_averaging_decay
        self.average = None if decay is None else AveragedWeights(model, decay)
        self.done = Progress()
        self.state: CarriedState | None = None
        """What a recurrent model carries from batch to batch."""
        self.best_weights = _copy_weights(model)
        self._loss = torch.compile(model.loss) if is_compiled(config, self.n_steps, self.device) else model.loss
        self._rate = Rate()

    def run(self, description: str) -> dict[str, Any]:
        keep_freed_memory()
        dtype = compute_dtype(self.config, self.device)
        use_deterministic_algorithms(self.config, self.device)
        self.model.compute_in(dtype)
        self.model.recomputes_activations = self.config.recompute_activations
        self._resume()
        with progress(description, self.n_steps, "steps") as work, self._feed() as feed:
            work.advance(self.done.step)
            while not self._is_over():
                self._step(feed)
                self._look(work)
        self.model.compute_in(torch.float32)
        self.model.recomputes_activations = False
        self.model.load_state_dict(self.best_weights)
        return self._record(dtype)

    @contextmanager
    def _feed(self) -> Iterator[Feed]:
        feed = Feed(self.batches, self.config.accumulated_batches, self.device)
        try:
            yield feed
        finally:
            feed.close()

    def _is_over(self) -> bool:
        patience = self.config.max_validations_without_gain
        is_stalled = patience is not None and self.done.n_validations_without_gain >= patience
        return is_stalled or self.done.step >= self.n_steps

    def _resume(self) -> None:
        checkpoint = load_checkpoint(self.checkpoints)
        if checkpoint is None:
            self._keep()  # what the very first steps can go back to
            return
        self._restore(checkpoint)
        logger.info("going on from the checkpoint at step %d of %d", self.done.step, self.n_steps)
        for figures in self.done.history:
            self.on_metrics(int(figures["step"]), {key: value for key, value in figures.items() if key != "step"})

    def _restore(self, checkpoint: Checkpoint) -> None:
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "best": {}, "average": {}, "state": {}}
        for name, tensor in checkpoint.tensors.items():
            group, _, rest = name.partition(":")
            groups[group][rest] = tensor.to(self.device) if group in ("best", "state") else tensor
        self.model.load_state_dict(groups["model"])
        self.optimizer.load_state(groups["optimizer"])
        self.best_weights = groups["best"]
        if self.average is not None:
            self.average.load_state(groups["average"])
        self.done = Progress(**checkpoint.facts)
        self.state = CarriedState(groups["state"], self.done.n_carried_positions) if groups["state"] else None

    def _step(self, feed: Feed) -> None:
        # Seeded anew for every step, so that dropout needs no state to be kept.
        torch.manual_seed((self.seed * 1_000_003 + self.done.step) % 2**63)
        self.model.train()
        factor = learning_rate_factor(self.config.schedule, self.done.step, self.n_steps)
        parts = feed.batches_of(self.done.step + self.done.n_steps_left_out)
        n_targets = sum(part.n_targets for part in parts)
        loss, state = torch.zeros((), device=self.device), self.state
        for part in parts:
            part_loss, state = self._loss_of(part, state, self.config.label_smoothing)
            (part_loss / n_targets).backward()  # type: ignore[no-untyped-call]
            loss += part_loss.detach() / n_targets
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip_norm)
        self.done.step += 1
        value, gradient_norm = loss.item(), norm.item()
        reason = reason_to_skip(value, gradient_norm, self.done.recent_losses, self.config.stability)
        if reason is not None:
            # A state that came from finite activations is as good as any; without one the next step would leap again.
            self.state = state if math.isfinite(value) else None
            self._skip(reason)
            return
        self.optimizer.step(factor)
        if self.average is not None:
            self.average.update(self.done.step)
        self.state = state
        self._count(value, gradient_norm, factor * self.optimizer.peak_learning_rate, n_targets)
        self._rate.add(sum(part.tokens.numel() for part in parts))

    def _loss_of(
        self, batch: Batch, state: CarriedState | None, label_smoothing: float = 0.0
    ) -> tuple[Tensor, CarriedState | None]:
        """Summed loss of a batch and the state after it, of a model that carries one."""
        if not isinstance(self.model, RecurrentModel):
            return self._loss(batch.tokens, batch.targets, label_smoothing=label_smoothing), None
        if state is None or not batch.continues:
            state = self.model.new_state(len(batch.tokens))
        return self.model.loss_and_state(batch.tokens, batch.targets, state, label_smoothing=label_smoothing)

    def _count(self, loss: float, gradient_norm: float, learning_rate: float, n_targets: int) -> None:
        self.done.n_targets += n_targets
        self.done.n_skipped_in_a_row = 0
        self.done.recent_losses.append(loss)
        del self.done.recent_losses[: -self.config.stability.spike_window_steps]
        self.done.unreported.append((loss, gradient_norm, learning_rate))

    def _skip(self, reason: str) -> None:
        """Leave the weights as they were before a step that would have spoilt them."""
        self.optimizer.clear_gradients()
        self.done.n_skipped_steps += 1
        self.done.n_skipped_in_a_row += 1
        logger.warning("step %d skipped: %s", self.done.step, reason)
        if self.done.n_skipped_in_a_row >= self.config.stability.max_skipped_steps:
            self._roll_back(reason)

    def _roll_back(self, reason: str) -> None:
        """Go back to the last good checkpoint, and from there on past the data that led here."""
        at, n_skipped, n_left_out = self.done.step, self.done.n_skipped_steps, self.done.n_steps_left_out
        if self.done.n_rollbacks >= self.config.stability.max_rollbacks:
            raise FloatingPointError(
                f"{self.done.n_skipped_in_a_row} steps in a row were skipped, after {self.done.n_rollbacks} returns to "
                f"a checkpoint (last at step {at}: {reason}): lower the learning rate or train in float32; the last "
                "good checkpoint is kept"
            )
        checkpoint = load_checkpoint(self.checkpoints)
        if checkpoint is None:
            raise FloatingPointError(f"step {at}: {reason}, and no checkpoint in {self.checkpoints} to go back to")
        self._restore(checkpoint)
        self.state = None
        self.done.n_skipped_steps = n_skipped
        self.done.n_rollbacks += 1
        n_back = at - self.done.step
        self.done.n_steps_left_out = n_left_out + n_back
        logger.warning("back to the checkpoint at step %d; the data of %d steps is left out", self.done.step, n_back)
        self._keep()

    def _look(self, work: Work) -> None:
        """After a step: show, report, validate and keep what is due."""
        step, config, is_last = self.done.step, self.config, self.done.step == self.n_steps
        work.reach(step, f"loss {self._recent_loss():.3f}, {self._rate.tokens_per_second():,.0f} tokens/s")
        figures: dict[str, float] = {}
        if (step % config.log_every_steps == 0 or is_last) and self.done.unreported:
            figures |= self._summarize()
        if step % config.validate_every_steps == 0 or is_last:
            figures["validation_loss"] = self._validate()
        if figures:
            self.done.history.append({"step": step, **figures})
            self.on_metrics(step, figures | self._resources())
        is_due = step % config.checkpoint_every_steps == 0 and not self.done.n_skipped_in_a_row
        if is_due or self._is_over():
            self._keep()

    def _resources(self) -> dict[str, float]:
        """What the training takes of this machine, which is no part of its result."""
        figures = {"tokens_per_second": self._rate.tokens_per_second()}
        if self.device.type == "cuda":
            figures["gpu_memory_gib"] = torch.cuda.max_memory_allocated(self.device) / 2**30
        return figures

    def _summarize(self) -> dict[str, float]:
        """Means over the steps since the last report, and the last learning rate."""
        losses, norms, rates = zip(*self.done.unreported, strict=True)
        self.done.unreported.clear()
        n_steps = len(losses)
        return {
            "loss": sum(losses) / n_steps,
            "gradient_norm": sum(norms) / n_steps,
            "learning_rate": rates[-1],
        }

    def _recent_loss(self) -> float:
        if self.done.unreported:
            return self.done.unreported[-1][0]
        return self.done.history[-1].get("loss", math.nan) if self.done.history else math.nan

    def _validate(self) -> float:
        """Mean validation loss in nats per target; the best weights so far are remembered."""
        started = time.monotonic()
        with self.average.in_place() if self.average is not None else nullcontext():
            loss = self._validation_loss()
            if loss < self.done.best_validation_loss:
                self.done.best_validation_loss, self.done.best_step = loss, self.done.step
                self.done.n_validations_without_gain = 0
                self.best_weights = _copy_weights(self.model)
            else:
                self.done.n_validations_without_gain += 1
        self._rate.pause(time.monotonic() - started)
        return loss

    @torch.no_grad()
    def _validation_loss(self) -> float:
        self.model.eval()
        total, n_targets, state = 0.0, 0, None
        for batch in self.batches.validation_batches():
            loss, state = self._loss_of(batch.to(self.device), state)
            total += loss.item()
            n_targets += batch.n_targets
        return total / n_targets

    def _keep(self) -> None:
        started = time.monotonic()
        groups: dict[str, Mapping[str, Tensor]] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state(),
            "best": self.best_weights,
            "average": {} if self.average is None else self.average.state(),
            "state": {} if self.state is None else self.state.tensors,
        }
        tensors = {
            f"{group}:{name}": tensor.detach().cpu().contiguous()
            for group, state in groups.items()
            for name, tensor in state.items()
        }
        self.done.n_carried_positions = 0 if self.state is None else self.state.length
        save_checkpoint(self.checkpoints, Checkpoint(self.done.step, tensors, asdict(self.done)))
        self._rate.pause(time.monotonic() - started)

    def _record(self, dtype: torch.dtype) -> dict[str, Any]:
        n_batches = (self.done.step + self.done.n_steps_left_out) * self.config.accumulated_batches
        return {
            "n_parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "n_steps": self.done.step,
            "n_batches": n_batches,
            "n_epochs": round(n_batches * self.batches.batch_size / self.batches.n_examples, 4),
            "n_targets": self.done.n_targets,
            "n_skipped_steps": self.done.n_skipped_steps,
            "n_rollbacks": self.done.n_rollbacks,
            "best_step": self.done.best_step,
            "best_validation_loss": self.done.best_validation_loss,
            "precision": str(dtype).removeprefix("torch."),
            "seed": self.seed,
            "history": self.done.history,
        }


def _copy_weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
