"""The training loop of every gradient-trained model, which stops at any moment and goes on exactly from there."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lmcore.device import native_bfloat16
from lmcore.models.trainable import TrainableModel
from lmcore.progress import Work, progress
from lmcore.tokens.batches import Batches
from lmcore.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lmcore.training.config import TrainingConfig
from lmcore.training.optimizer import ModelOptimizer
from lmcore.training.schedule import learning_rate_factor

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
    best_step: int = 0
    best_validation_loss: float = 1e30  # JSON knows no infinity
    unreported: list[tuple[float, float, float]] = field(default_factory=list)
    """Loss, gradient norm and learning rate of each step since the last report."""
    history: list[dict[str, float]] = field(default_factory=list)


def count_steps(config: TrainingConfig, batches: Batches) -> int:
    """Steps until ``max_steps`` or ``max_epochs`` is reached, whichever comes first; at least one."""
    per_epoch = batches.n_examples / batches.batch_size
    return max(1, min(config.max_steps, math.ceil(config.max_epochs * per_epoch)))


def compute_dtype(config: TrainingConfig, device: torch.device) -> torch.dtype:
    """What activations are computed in: chosen, or decided by what the device can do."""
    if config.precision == "native":
        return torch.bfloat16 if native_bfloat16(device) else torch.float32
    return torch.bfloat16 if config.precision == "bfloat16" else torch.float32


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
    was never interrupted.

    Returns:
        the training record: steps, tokens, best validation and the history of figures; nothing of time or place.

    Raises:
        FloatingPointError: if ``max_skipped_steps`` steps in a row had a loss or gradient that is not finite.
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
        self.device = next(model.parameters()).device
        self.n_steps = count_steps(config, batches)
        self.optimizer = ModelOptimizer(model, config.optimizer)
        self.done = Progress()
        self.best_weights = _copy_weights(model)
        self._rate = _Rate()

    def run(self, description: str) -> dict[str, Any]:
        dtype = compute_dtype(self.config, self.device)
        self.model.compute_in(dtype)
        self._resume()
        with progress(description, self.n_steps, "steps") as work:
            work.advance(self.done.step)
            while self.done.step < self.n_steps:
                self._step()
                self._look(work)
        self.model.compute_in(torch.float32)
        self.model.load_state_dict(self.best_weights)
        return self._record(dtype)

    def _resume(self) -> None:
        checkpoint = load_checkpoint(self.checkpoints)
        if checkpoint is None:
            return
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "best": {}}
        for name, tensor in checkpoint.tensors.items():
            group, _, rest = name.partition(":")
            groups[group][rest] = tensor
        self.model.load_state_dict(groups["model"])
        self.optimizer.load_state(groups["optimizer"])
        self.best_weights = {name: tensor.to(self.device) for name, tensor in groups["best"].items()}
        self.done = Progress(**checkpoint.facts)
        logger.info("going on from the checkpoint at step %d of %d", self.done.step, self.n_steps)
        for figures in self.done.history:
            self.on_metrics(int(figures["step"]), {key: value for key, value in figures.items() if key != "step"})

    def _step(self) -> None:
        # Seeded anew for every step, so that dropout needs no state to be kept.
        torch.manual_seed((self.seed * 1_000_003 + self.done.step) % 2**63)
        self.model.train()
        factor = learning_rate_factor(self.config.schedule, self.done.step, self.n_steps)
        batch = self.batches.training_batch(self.done.step).to(self.device)
        n_targets = batch.n_targets
        loss = self.model.loss(batch.tokens, batch.targets) / n_targets
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip_norm)
        self.done.step += 1
        if math.isfinite(value := loss.item()) and math.isfinite(gradient_norm := norm.item()):
            self.optimizer.step(factor)
            self.done.n_targets += n_targets
            self.done.n_skipped_in_a_row = 0
            rate = factor * self.optimizer.peak_learning_rate
            self.done.unreported.append((value, gradient_norm, rate))
            self._rate.add(batch.tokens.numel())
        else:
            self._skip(value, norm.item())

    def _skip(self, loss: float, gradient_norm: float) -> None:
        """Leave the weights as they were before a step that would have spoilt them."""
        self.optimizer.clear_gradients()
        self.done.n_skipped_steps += 1
        self.done.n_skipped_in_a_row += 1
        logger.warning(
            "step %d skipped: loss %s, gradient norm %s; the weights are as before it",
            self.done.step,
            loss,
            gradient_norm,
        )
        if self.done.n_skipped_in_a_row >= self.config.max_skipped_steps:
            raise FloatingPointError(
                f"{self.done.n_skipped_in_a_row} steps in a row had a loss or gradient that is not finite (last: "
                f"loss {loss}, gradient norm {gradient_norm}, step {self.done.step}): lower the learning rate or "
                "train in float32; the last good checkpoint is kept"
            )

    def _look(self, work: Work) -> None:
        """After a step: show, report, validate and keep what is due."""
        step, config, is_last = self.done.step, self.config, self.done.step == self.n_steps
        work.advance(1, f"loss {self._recent_loss():.3f}, {self._rate.tokens_per_second():,.0f} tokens/s")
        figures: dict[str, float] = {}
        if (step % config.log_every_steps == 0 or is_last) and self.done.unreported:
            figures |= self._summarize()
        if step % config.validate_every_steps == 0 or is_last:
            figures["validation_loss"] = self._validate()
        if figures:
            self.done.history.append({"step": step, **figures})
            self.on_metrics(step, figures | {"tokens_per_second": self._rate.tokens_per_second()})
        if step % config.checkpoint_every_steps == 0 or is_last:
            self._keep()

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

    @torch.no_grad()
    def _validate(self) -> float:
        """Mean validation loss in nats per target; the best weights so far are remembered."""
        started = time.monotonic()
        self.model.eval()
        total, n_targets = 0.0, 0
        for batch in self.batches.validation_batches():
            on_device = batch.to(self.device)
            total += self.model.loss(on_device.tokens, on_device.targets).item()
            n_targets += batch.n_targets
        loss = total / n_targets
        if loss < self.done.best_validation_loss:
            self.done.best_validation_loss, self.done.best_step = loss, self.done.step
            self.best_weights = _copy_weights(self.model)
        self._rate.pause(time.monotonic() - started)
        return loss

    def _keep(self) -> None:
        started = time.monotonic()
        groups = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state(),
            "best": self.best_weights,
        }
        tensors = {
            f"{group}:{name}": tensor.detach().cpu().contiguous()
            for group, state in groups.items()
            for name, tensor in state.items()
        }
        save_checkpoint(self.checkpoints, Checkpoint(self.done.step, tensors, asdict(self.done)))
        self._rate.pause(time.monotonic() - started)

    def _record(self, dtype: torch.dtype) -> dict[str, Any]:
        return {
            "n_parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "n_steps": self.n_steps,
            "n_epochs": round(self.n_steps * self.batches.batch_size / self.batches.n_examples, 4),
            "n_examples_drawn": self.n_steps * self.batches.batch_size,
            "n_targets": self.done.n_targets,
            "n_skipped_steps": self.done.n_skipped_steps,
            "best_step": self.done.best_step,
            "best_validation_loss": self.done.best_validation_loss,
            "precision": str(dtype).removeprefix("torch."),
            "seed": self.seed,
            "history": self.done.history,
        }


class _Rate:
    """Tokens per second of training proper, over about the last ten seconds."""

    SPAN_SECONDS = 10.0

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._n_tokens = 0
        self._last: float | None = None

    def add(self, n_tokens: int) -> None:
        self._n_tokens += n_tokens
        if (seconds := time.monotonic() - self._started) >= self.SPAN_SECONDS:
            self._last = self._n_tokens / seconds
            self._started, self._n_tokens = time.monotonic(), 0

    def pause(self, seconds: float) -> None:
        """Do not count the last ``seconds``, which went into something else than training."""
        self._started += seconds

    def tokens_per_second(self) -> float:
        if self._last is not None:
            return self._last
        return self._n_tokens / max(time.monotonic() - self._started, 1e-9)


def _copy_weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
