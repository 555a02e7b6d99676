"""What a step of a training costs, measured by a few steps of that training itself."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lmcore.config.training import TrainingConfig
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.batches.batches import Batches
from lmcore.training.loop import train
from lmcore.training.memory import keep_freed_memory, return_freed_memory

EVERY_STEP = 1
MANY_EPOCHS = 1e9
VALIDATION_RATIO = 0.25
STATUS, PEAK_RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): resets the peak resident set size


@dataclass(frozen=True)
class TrainingCost:
    """What a training costs on this machine, in seconds and bytes.

    Attributes:
        start_seconds: before the first step: the optimizer, checksums of model and data.
        step_seconds: one optimizer step.
        validation_seconds: one validation.
        checkpoint_seconds: one checkpoint.
        memory_bytes: the most memory that the process had, beyond what it had before; None where the system does not
            report it.
    """

    start_seconds: float
    step_seconds: float
    validation_seconds: float
    checkpoint_seconds: float
    memory_bytes: int | None

    def seconds(self, *, n_steps: int, n_validations: int, n_checkpoints: int) -> float:
        """The duration of a whole training."""
        return (
            self.start_seconds
            + n_steps * self.step_seconds
            + n_validations * self.validation_seconds
            + n_checkpoints * self.checkpoint_seconds
        )

    def validations_within(self, seconds: float, *, at_most: int) -> int:
        """How many validations, at least one, take no more than a quarter of a training of ``seconds``."""
        each = max(self.validation_seconds + self.checkpoint_seconds, 1e-9)
        return max(1, min(at_most, int(VALIDATION_RATIO * seconds / each)))

    def steps_within(self, seconds: float, *, n_validations: int) -> int:
        """How many steps, at least one, a training of ``seconds`` has time for, with a checkpoint per validation."""
        fixed = self.seconds(n_steps=0, n_validations=n_validations, n_checkpoints=n_validations)
        return max(1, int((seconds - fixed) / self.step_seconds))

    def as_json(self) -> dict[str, float | int | None]:
        """The numbers by name."""
        return asdict(self)


def measure_cost(
    model: TrainableModel, batches: Batches, config: TrainingConfig, *, n_steps: int, seed: int
) -> TrainingCost:
    """Train ``model``, which is useless afterwards, for a few steps, and measure them.

    The first third of the steps warms up caches and is not counted. Of two validations, only the second is measured,
    since the first has start-up costs. The result is a measurement: it differs from run to run and between machines.

    Args:
        model: a new model on its device.
        batches: the batches of the training to be forecast.
        config: its settings.
        n_steps: how many steps to measure, at least 6.
        seed: the seed of dropout.
    """
    n_steps += n_steps % 2
    measured = config.model_copy(
        update={
            "max_steps": n_steps,
            "num_train_epochs": MANY_EPOCHS,
            "early_stopping_patience": None,
            "schedule": config.schedule.model_copy(update={"restart_steps": ()}),
            "logging_steps": EVERY_STEP,
            "eval_steps": n_steps // 2,
            "save_steps": n_steps // 2,
        }
    )
    times: list[float] = []
    with keep_freed_memory(), added_memory() as added:
        started = time.perf_counter()
        train(
            model,
            batches,
            measured,
            seed=seed,
            on_metrics=lambda _step, _metrics: times.append(time.perf_counter()),
            description="Measure",
        )
        ended = time.perf_counter()
    seconds = np.diff(times)  # of steps 2 to n_steps; the last one has a validation, the one after the middle a save
    half = n_steps // 2
    is_plain = np.ones(len(seconds), dtype=bool)
    is_plain[[half - 2, half - 1, -1]] = False
    is_plain[: n_steps // 3] = False
    step = float(np.median(seconds[is_plain]))  # another process may have interrupted some
    return TrainingCost(
        start_seconds=max(0.0, times[0] - started - step),
        step_seconds=step,
        validation_seconds=max(0.0, float(seconds[-1]) - step),
        checkpoint_seconds=max(0.0, ended - times[-1]),
        memory_bytes=added(),
    )


@contextmanager
def added_memory() -> Iterator[Callable[[], int | None]]:
    """A block whose peak of resident memory is measured, beyond the memory that the process has when it begins.

    Yields a function that returns that peak so far, in bytes; None where the system has no such counter.
    """
    return_freed_memory()
    try:
        PEAK_RESET.write_text(RESET_PEAK, encoding="ascii")
    except OSError:  # not Linux, or not allowed
        yield lambda: None
    else:
        before = _status_bytes("VmRSS:")
        yield lambda: _status_bytes("VmHWM:") - before


def _status_bytes(name: str) -> int:
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
