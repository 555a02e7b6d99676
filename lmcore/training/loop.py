"""The training loop of every gradient-trained model; it can be interrupted at any moment and resumes exactly."""

import logging
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
from torch import nn

from lmcore.config.training import TrainingConfig
from lmcore.errors import UserError
from lmcore.models.trainable import TrainableModel
from lmcore.progress import ProgressBar
from lmcore.progress import progress as progress_bar
from lmcore.tokens.batches.batches import Batches
from lmcore.training.checkpoint_manager import CheckpointManager
from lmcore.training.ema import AveragedWeights
from lmcore.training.gradients import StepGradients
from lmcore.training.identity import is_same_so_far, training_identity
from lmcore.training.optimizer import ModelOptimizer
from lmcore.training.precision import compute_dtype, is_compiled, training_torch_settings
from lmcore.training.prefetch import Prefetcher
from lmcore.training.record import TrainingRecord
from lmcore.training.schedule import count_steps, first_decay_step, learning_rate_factor
from lmcore.training.signals import DeferredSignals
from lmcore.training.stability import reason_to_skip
from lmcore.training.state import TrainerState, copy_weights, training_record
from lmcore.training.throughput import Throughput
from lmcore.training.validation import MeasureModel, Validation, Validator

logger = logging.getLogger(__name__)

LOSS = "loss"
OnContinued = Callable[[Path, int], None]
"""A listener, called with the folder of an earlier training and the step from which its training is continued."""
OnMetrics = Callable[[int, Mapping[str, float]], None]
"""A listener, called with a step (counted from 1) and metrics by name."""


def train(
    model: TrainableModel,
    batches: Batches,
    config: TrainingConfig,
    *,
    seed: int,
    checkpoints: Path | None = None,
    earlier: Sequence[Path] = (),
    measure: MeasureModel | None = None,
    on_metrics: OnMetrics,
    on_continued: OnContinued | None = None,
    description: str,
) -> TrainingRecord:
    """Train ``model`` in place; it ends with the weights of the best validation.

    If ``checkpoints`` holds a checkpoint, training resumes from it, and the metrics in it are reported again, so that
    a listener that missed some can catch up. On one machine the result is bit-identical to that of an uninterrupted
    training (on a GPU with ``full_determinism``). A signal that ends the process (SIGTERM, Ctrl-C) takes effect after
    the current batch, once the last complete step is saved.

    Without a checkpoint, training continues from that of an earlier training with the same steps so far: the same
    model, data, seed and settings except for the limits (steps, epochs, patience), and the same learning rates up to
    there. The result is then bit-identical to that of a single uninterrupted training.

    The process's random state and torch settings are the same after training as before.

    Args:
        model: the model to train.
        batches: training and validation batches.
        config: how to train.
        seed: the seed of dropout; ``batches`` have their own seed for shuffling and sampling.
        checkpoints: a folder for the checkpoints of this training alone; None keeps them in a temporary folder.
        earlier: folders with the checkpoints of earlier trainings that this one may continue.
        measure: gives ``config.metric_for_best_model`` of the model on the validation data, in evaluation mode and
            without gradients; not needed for ``loss``.
        on_metrics: called with all metrics.
        on_continued: called with the folder of the training that is continued, and the step.
        description: the label of the progress bar.

    Returns:
        the training record: steps, tokens, best validation and the history of metrics; it holds no times, paths or
        host names.

    Raises:
        UserError: if the checkpoints belong to another training, there are no training or validation targets, or
            there is no ``measure`` for the metric by which the best weights are chosen.
        FloatingPointError: if steps keep being skipped and rolling back does not help, or no validation gives a
            finite loss.
    """
    with nullcontext(checkpoints) if checkpoints else tempfile.TemporaryDirectory(prefix="checkpoints-") as folder:
        trainer = _Trainer(model, batches, config, seed, Path(folder), on_metrics, measure)
        return trainer.run(description, earlier, on_continued)


class _Trainer:
    def __init__(
        self,
        model: TrainableModel,
        batches: Batches,
        config: TrainingConfig,
        seed: int,
        checkpoints: Path,
        on_metrics: OnMetrics,
        measure: MeasureModel | None,
    ) -> None:
        metric = config.metric_for_best_model
        if measure is None and metric != LOSS:
            raise UserError(f"metric_for_best_model is {metric}, but only {LOSS} is measured here")
        self.model, self.batches, self.config, self.seed = model, batches, config, seed
        self.on_metrics = on_metrics
        self.device = model.device
        self.n_steps = count_steps(config, batches)
        n_batches = self.n_steps * config.gradient_accumulation_steps
        is_worth_compiling = model.is_compilable and is_compiled(config, self.n_steps, self.device)
        identity = training_identity(
            model, batches, config, seed=seed, n_batches=n_batches, is_compiled=is_worth_compiling
        )
        average = None if config.ema_decay is None else AveragedWeights(model, config.ema_decay)
        self.state = TrainerState(model, ModelOptimizer(model, config.optimizer), average)
        self._is_same = partial(is_same_so_far, own=identity, batches=batches, config=config)
        self._checkpoints = CheckpointManager(
            checkpoints, self.state, identity, kept_before_step=first_decay_step(config.schedule, self.n_steps)
        )
        self._gradients = StepGradients(model, config.label_smoothing, is_compiled=is_worth_compiling)
        self._throughput = Throughput()
        self._signals = DeferredSignals()
        self._validator = Validator(
            model, batches, average, self._gradients.loss_of, self._signals, None if metric == LOSS else measure
        )

    def run(self, description: str, earlier: Sequence[Path], on_continued: OnContinued | None) -> TrainingRecord:
        dtype = compute_dtype(self.config, self.device)
        with training_torch_settings(self.config, self.device), self._signals:
            self.model.compute_in(dtype)
            self.model.gradient_checkpointing = self.config.gradient_checkpointing
            try:
                self._start(earlier, on_continued)
                self._run_steps(description)
            except BaseException as error:
                if not isinstance(error, Exception):
                    self._checkpoints.save_interrupted()
                raise
            finally:
                self.model.compute_in(torch.float32)
                self.model.gradient_checkpointing = False
            if not self.state.progress.best_step:
                raise FloatingPointError(
                    "no validation gave a finite loss, so there are no weights to keep: lower the learning rate "
                    "or train in float32"
                )
            self.model.load_state_dict(self.state.best_weights)
        return training_record(self.state, self.config, self.batches, dtype=dtype, seed=self.seed)

    def _start(self, earlier: Sequence[Path], on_continued: OnContinued | None) -> None:
        """Restore the state of an interrupted training, or of an earlier one; or save the initial state."""
        if self._checkpoints.resume():
            logger.info("resuming from the checkpoint at step %d of %d", self.state.progress.step, self.n_steps)
        elif folder := self._checkpoints.continue_from(earlier, self._is_same, n_steps=self.n_steps):
            step = self.state.progress.step
            logger.info("continuing an earlier training from its step %d to %d", step, self.n_steps)
            if on_continued is not None:
                on_continued(folder, step)
        else:
            self._checkpoints.save()
        for entry in self.state.progress.history:
            self.on_metrics(int(entry["step"]), {name: value for name, value in entry.items() if name != "step"})

    def _run_steps(self, description: str) -> None:
        prefetcher = Prefetcher(self.batches, self.config.gradient_accumulation_steps, self.device)
        with (
            progress_bar(description, self.n_steps, "steps", done=self.state.progress.step) as bar,
            prefetcher,
        ):
            # A step that was interrupted before its reports and validation is completed first.
            while not self._is_step_completed() or not self._is_finished():
                if self._is_step_completed():
                    self._training_step(prefetcher)
                if not self._is_step_completed():
                    self._after_step(bar)

    def _is_step_completed(self) -> bool:
        return self.state.progress.looked_step >= self.state.progress.step

    def _is_finished(self) -> bool:
        patience, progress = self.config.early_stopping_patience, self.state.progress
        is_stalled = patience is not None and progress.n_validations_without_gain >= patience
        return is_stalled or progress.step >= self.n_steps

    def _training_step(self, prefetcher: Prefetcher) -> None:
        progress = self.state.progress
        # Seeded again for every step, so that a checkpoint needs no random state.
        torch.manual_seed((self.seed * 1_000_003 + progress.step) % 2**63)
        self.model.train()
        factor = learning_rate_factor(self.config.schedule, progress.step, self.n_steps)
        batches = prefetcher.batches_of_step(progress.step + progress.n_steps_left_out)
        found = self._gradients.add(batches, self.state.carried, before_batch=self._deliver_signals)
        gradient_norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm).item()
        reason = (
            reason_to_skip(found.loss, gradient_norm, progress.recent_losses, self.config.stability)
            if found.n_targets
            else "its batches have no targets"
        )
        with self._checkpoints.state_update():
            progress.step += 1
            if reason is None:
                self.state.update_weights(factor, found.loss, gradient_norm)
                progress.n_targets += found.n_targets
                del progress.recent_losses[: -self.config.stability.spike_window_steps]
                progress.unreported_metrics.append(found.measured)
                self.state.carried = found.carried
                self._throughput.add(sum(batch.tokens.numel() for batch in batches))
            else:
                # Carry the state on if it is finite: starting again from an empty one would make the next loss spike.
                self.state.carried = found.carried if math.isfinite(found.loss) else None
                self._skip_update(reason)

    def _skip_update(self, reason: str) -> None:
        """Leave the weights unchanged; after too many skipped steps in a row, roll back."""
        progress = self.state.progress
        self.state.optimizer.clear_gradients()
        progress.n_skipped_steps += 1
        progress.n_skipped_in_a_row += 1
        logger.warning("step %d skipped: %s", progress.step, reason)
        if progress.n_skipped_in_a_row >= self.config.stability.max_skipped_steps:
            self._checkpoints.roll_back(reason, self.config.stability.max_rollbacks)

    def _after_step(self, bar: ProgressBar) -> None:
        """Do what is due after a step: validate, report metrics, save a checkpoint."""
        progress, config, step = self.state.progress, self.config, self.state.progress.step
        is_last = step == self.n_steps
        if is_last:
            # Before the reports and validation that only a last step has, so that a longer training can continue.
            self._checkpoints.save_last()
        bar.reach(step, f"loss {progress.last_loss():.3f}, {self._throughput.tokens_per_second():,.0f} tokens/s")
        validation = self._validate() if step % config.eval_steps == 0 or is_last else None
        with self._checkpoints.state_update():
            metrics: dict[str, float] = {}
            if (step % config.logging_steps == 0 or is_last) and progress.unreported:
                metrics |= progress.report()
            if validation is not None:
                metrics |= self._record_validation(validation)
            if metrics:
                progress.history.append({"step": step, **metrics})
            progress.looked_step = step
        if metrics:
            self.on_metrics(step, metrics | self._throughput.metrics(self.device))
        is_due = step % config.save_steps == 0 and not progress.n_skipped_in_a_row
        if not is_last and (is_due or self._is_finished()):
            started = time.monotonic()
            self._checkpoints.save(is_interrupted=not is_due)
            self._throughput.exclude(time.monotonic() - started)

    def _record_validation(self, validation: Validation) -> dict[str, float]:
        """Keep the weights if they are the best so far; returns the metrics, if the loss is finite."""
        progress = self.state.progress
        if progress.note_validation(validation.loss, validation.score):
            with self._validator.validated_weights():
                self.state.best_weights = copy_weights(self.model)
        if not validation.is_finite:
            message = "step %d: the validation loss is %s; this validation is ignored"
            logger.warning(message, progress.step, validation.loss)
        return validation.metrics(self.config.metric_for_best_model) if validation.is_finite else {}

    def _validate(self) -> Validation:
        started = time.monotonic()
        while (validation := self._validator.validate()) is None:
            self._deliver_signals()
        self._throughput.exclude(time.monotonic() - started)
        return validation

    def _deliver_signals(self) -> None:
        """Save the last complete step and let a pending signal take effect."""
        if self._signals.are_pending:
            self._checkpoints.save_interrupted()
            self._signals.deliver()
