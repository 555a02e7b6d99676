"""The training loop of every gradient-trained model, which stops at any moment and goes on exactly from there."""

import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from lmcore.config.training import TrainingConfig
from lmcore.models.device import keep_freed_memory
from lmcore.models.state import RecurrentState
from lmcore.models.trainable import TrainableModel
from lmcore.progress import ProgressBar, progress
from lmcore.tokens.batches.batches import Batch, Batches
from lmcore.training.checkpointing import Keeper
from lmcore.training.ema import AveragedWeights
from lmcore.training.identity import training_identity
from lmcore.training.optimizer import ModelOptimizer
from lmcore.training.precision import compute_dtype, is_compiled, kept_torch_settings, use_deterministic_algorithms
from lmcore.training.prefetch import Feed
from lmcore.training.record import TrainingRecord
from lmcore.training.schedule import count_steps, learning_rate_factor
from lmcore.training.signals import HeldSignals
from lmcore.training.stability import reason_to_skip
from lmcore.training.state import TrainerState, copy_weights, training_record
from lmcore.training.throughput import Rate

logger = logging.getLogger(__name__)

OnMetrics = Callable[[int, Mapping[str, float]], None]
"""Called with a step (counted from 1) and figures by name."""


def train(
    model: TrainableModel,
    batches: Batches,
    config: TrainingConfig,
    *,
    seed: int,
    checkpoints: Path | None = None,
    on_metrics: OnMetrics,
    description: str,
) -> TrainingRecord:
    """Train ``model`` in place, ending with the weights of the best validation.

    A checkpoint found in ``checkpoints`` is gone on from, and the figures that it holds are reported once more, so
    that a listener that lost some can catch up. On one machine the result is bit-identical to that of a training that
    was never interrupted (on a GPU with ``full_determinism``). A signal that ends the process (SIGTERM, Ctrl-C) does so
    after the batch that is being worked on, when the last whole step is in a checkpoint.

    The process keeps its random numbers and settings of torch; with the GNU C library it keeps from then on the memory
    that it frees (:func:`~lmcore.models.device.keep_freed_memory`).

    Args:
        model: what is trained, and what a later call goes on with.
        batches: what it is fed with.
        config: how it is trained.
        seed: of dropout; order and sampling are the batches' own.
        checkpoints: a folder of this training's own; None keeps them only while it runs.
        on_metrics: is told every figure.
        description: for the line of progress.

    Returns:
        the training record.

    Raises:
        ValueError: if the checkpoints are another training's, or there is nothing to learn from or validate with.
        FloatingPointError: if steps are skipped one after the other, and going back does not help, or no validation
            gives a finite loss.
    """
    if checkpoints is not None:
        return _Training(model, batches, config, seed, checkpoints, on_metrics).run(description)
    with tempfile.TemporaryDirectory(prefix="checkpoints-") as folder:
        return _Training(model, batches, config, seed, Path(folder), on_metrics).run(description)


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
        self.on_metrics = on_metrics
        self.device = model.device
        self.n_steps = count_steps(config, batches)
        n_batches = self.n_steps * config.gradient_accumulation_steps
        identity = training_identity(model, batches, config, seed=seed, n_batches=n_batches)
        decay = config.ema_decay
        average = None if decay is None else AveragedWeights(model, decay)
        self.state = TrainerState(model, ModelOptimizer(model, config.optimizer), average)
        self._keeper = Keeper(checkpoints, self.state, identity)
        is_worth_compiling = model.is_compilable and is_compiled(config, self.n_steps, self.device)
        self._loss_and_state = torch.compile(model.loss_and_state) if is_worth_compiling else model.loss_and_state
        self._rate = Rate()
        self._signals = HeldSignals()

    def run(self, description: str) -> TrainingRecord:
        keep_freed_memory()
        dtype = compute_dtype(self.config, self.device)
        with kept_torch_settings(self.device), self._signals:
            use_deterministic_algorithms(self.config, self.device)
            self.model.compute_in(dtype)
            self.model.gradient_checkpointing = self.config.gradient_checkpointing
            try:
                self._go_on(description)
            except BaseException as error:
                if not isinstance(error, Exception):
                    self._keeper.keep_interrupted()
                raise
            finally:
                self.model.compute_in(torch.float32)
                self.model.gradient_checkpointing = False
            if not self.state.done.best_step:
                raise FloatingPointError(
                    "no validation gave a finite loss, so there are no weights to keep: lower the learning rate "
                    "or train in float32"
                )
            self.model.load_state_dict(self.state.best_weights)
        return training_record(self.state, self.config, self.batches, dtype=dtype, seed=self.seed)

    def _go_on(self, description: str) -> None:
        if self._keeper.resume():
            logger.info("resuming from the checkpoint at step %d of %d", self.state.done.step, self.n_steps)
            for figures in self.state.done.history:
                self.on_metrics(int(figures["step"]), {key: value for key, value in figures.items() if key != "step"})
        with progress(description, self.n_steps, "steps", done=self.state.done.step) as work, self._feed() as feed:
            # Where the look behind the last step was interrupted, it is still due.
            while self._is_look_due() or not self._is_over():
                if not self._is_look_due():
                    self._step(feed)
                if self._is_look_due():
                    self._look(work)

    @contextmanager
    def _feed(self) -> Iterator[Feed]:
        feed = Feed(self.batches, self.config.gradient_accumulation_steps, self.device)
        try:
            yield feed
        finally:
            feed.close()

    def _is_look_due(self) -> bool:
        return self.state.done.looked_step < self.state.done.step

    def _is_over(self) -> bool:
        patience, done = self.config.early_stopping_patience, self.state.done
        is_stalled = patience is not None and done.n_validations_without_gain >= patience
        return is_stalled or done.step >= self.n_steps

    def _step(self, feed: Feed) -> None:
        done = self.state.done
        # Seeded anew for every step, so that dropout needs no state to be kept.
        torch.manual_seed((self.seed * 1_000_003 + done.step) % 2**63)
        self.model.train()
        factor = learning_rate_factor(self.config.schedule, done.step, self.n_steps)
        parts = feed.batches_of(done.step + done.n_steps_left_out)
        n_targets = sum(part.n_targets for part in parts)
        loss, carried = self._backward(parts, max(n_targets, 1))
        gradient_norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm).item()
        reason = (
            reason_to_skip(loss, gradient_norm, done.recent_losses, self.config.stability)
            if n_targets
            else "its batches hold no targets"
        )
        with self._keeper.changing():
            done.step += 1
            if reason is None:
                self._move(factor, loss, gradient_norm, n_targets)
                self.state.carried = carried
                self._rate.add(sum(part.tokens.numel() for part in parts))
            else:
                # A state that came from finite activations is as good as any; without one the next step would leap.
                self.state.carried = carried if math.isfinite(loss) else None
                self._skip(reason)

    def _backward(self, parts: Sequence[Batch], n_targets: int) -> tuple[float, RecurrentState | None]:
        """Add up the gradients of a step's batches; returns its loss, and the state behind them."""
        loss, carried = torch.zeros((), device=self.device), self.state.carried
        for part in parts:
            self._let_signals_in()
            part_loss, carried = self._loss_of(part, carried, self.config.label_smoothing)
            (part_loss / n_targets).backward()  # type: ignore[no-untyped-call]
            loss += part_loss.detach() / n_targets
        return loss.item(), carried

    def _loss_of(
        self, batch: Batch, carried: RecurrentState | None, label_smoothing: float = 0.0
    ) -> tuple[Tensor, RecurrentState | None]:
        """Summed loss of a batch and the state after it, of a model that carries one."""
        state = carried if batch.continues else None
        return self._loss_and_state(batch.tokens, batch.targets, state, label_smoothing=label_smoothing)

    def _move(self, factor: float, loss: float, gradient_norm: float, n_targets: int) -> None:
        """Let the weights have the step."""
        done, optimizer = self.state.done, self.state.optimizer
        optimizer.step(factor)
        if self.state.average is not None:
            self.state.average.update(done.step)
        done.n_targets += n_targets
        done.n_skipped_in_a_row = 0
        done.returned_to = None
        done.recent_losses.append(loss)
        del done.recent_losses[: -self.config.stability.spike_window_steps]
        done.unreported.append((loss, gradient_norm, factor * optimizer.peak_learning_rate))

    def _skip(self, reason: str) -> None:
        """Leave the weights as they were before a step that would have spoilt them."""
        done = self.state.done
        self.state.optimizer.clear_gradients()
        done.n_skipped_steps += 1
        done.n_skipped_in_a_row += 1
        logger.warning("step %d skipped: %s", done.step, reason)
        if done.n_skipped_in_a_row >= self.config.stability.max_skipped_steps:
            self._keeper.go_back(reason, self.config.stability.max_rollbacks)

    def _look(self, work: ProgressBar) -> None:
        """After a step: show, report, validate and keep what is due."""
        done, config, step = self.state.done, self.config, self.state.done.step
        is_last = step == self.n_steps
        work.reach(step, f"loss {done.last_loss():.3f}, {self._rate.tokens_per_second():,.0f} tokens/s")
        validation_loss = self._validate() if step % config.eval_steps == 0 or is_last else None
        with self._keeper.changing():
            figures: dict[str, float] = {}
            if (step % config.logging_steps == 0 or is_last) and done.unreported:
                figures |= done.report()
            if validation_loss is not None:
                figures |= self._judge(validation_loss)
            if figures:
                done.history.append({"step": step, **figures})
            done.looked_step = step
        if figures:
            self.on_metrics(step, figures | self._resources())
        is_due = step % config.save_steps == 0 and not done.n_skipped_in_a_row
        if is_due or self._is_over():
            self._keep()

    def _resources(self) -> dict[str, float]:
        """What the training takes of this machine, which is no part of its result."""
        figures = {"tokens_per_second": self._rate.tokens_per_second()}
        if self.device.type == "cuda":
            figures["gpu_memory_gib"] = torch.cuda.max_memory_allocated(self.device) / 2**30
        return figures

    def _judge(self, validation_loss: float) -> dict[str, float]:
        """Remember the best weights so far; returns the figure, if it is one."""
        done = self.state.done
        if validation_loss < done.best_validation_loss:
            done.best_validation_loss, done.best_step = validation_loss, done.step
            done.n_validations_without_gain = 0
            with self._validated_weights():
                self.state.best_weights = copy_weights(self.model)
        else:
            done.n_validations_without_gain += 1
        if math.isfinite(validation_loss):
            return {"validation_loss": validation_loss}
        logger.warning("step %d: the validation loss is %s; it is skipped", done.step, validation_loss)
        return {}

    def _validate(self) -> float:
        """Mean validation loss in nats per target."""
        started = time.monotonic()
        while (loss := self._validation_loss()) is None:
            self._let_signals_in()
        self._rate.pause(time.monotonic() - started)
        return loss

    @torch.no_grad()
    def _validation_loss(self) -> float | None:
        """None if a signal came, which must not find the averages in place of the weights."""
        self.model.eval()
        total, n_targets, carried = 0.0, 0, None
        with self._validated_weights():
            for batch in self.batches.validation_batches():
                if self._signals.are_waiting:
                    return None
                loss, carried = self._loss_of(batch.to(self.device), carried)
                total += loss.item()
                n_targets += batch.n_targets
        return total / n_targets

    def _validated_weights(self) -> AbstractContextManager[None]:
        """The averages in place of the weights, where there are some."""
        return nullcontext() if self.state.average is None else self.state.average.in_place()

    def _keep(self) -> None:
        started = time.monotonic()
        self._keeper.keep()
        self._rate.pause(time.monotonic() - started)

    def _let_signals_in(self) -> None:
        """Where nothing would be lost: let a signal that came do what it would have done."""
        if self._signals.are_waiting:
            self._keeper.keep_interrupted()
            self._signals.let_in()
