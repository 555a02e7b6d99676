"""The time that tracking costs a training: in the thread of the training, and in other threads."""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.line import Line
from benchmarks.models import our_gpt
from lmcore.config.training import TrainingConfig
from lmcore.progress import ProgressBar
from lmcore.tokens.batches.batches import WindowBatches
from lmcore.training.loop import train
from tasks import tracking
from tasks.context.environment import Environment
from tasks.context.parameters import load_parameters

N_STEPS, VOCABULARY_SIZE = 150, 4096
PARAMETERS = Path(__file__).parents[1] / "params.yaml"


class Stopwatch:
    """Accumulates the seconds spent in wrapped functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


def tracking_cost() -> list[Line]:
    """One line: the default training, tracked in a store of its own."""
    pretrain = load_parameters(PARAMETERS).pretrain
    changes = {"max_steps": N_STEPS, "num_train_epochs": 1000.0, "save_steps": N_STEPS}
    config = TrainingConfig.model_validate_json(pretrain.training.model_copy(update=changes).model_dump_json())
    stopwatch, stream = Stopwatch(), np.random.default_rng(0).integers(VOCABULARY_SIZE, size=100_000)
    reach, ProgressBar.reach = ProgressBar.reach, stopwatch.wrap(ProgressBar.reach)  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["LMCORE_WORK_FOLDER"] = folder
            seconds, in_others = _train_tracked(Path(folder), config, stream, stopwatch)
    finally:
        ProgressBar.reach = reach  # type: ignore[method-assign]
    own = stopwatch.seconds
    spent = own + in_others
    note = f"{N_STEPS} reports, one per step; {own:.2f} s in the training thread, {in_others:.2f} s in others"
    name = "tracking and progress, fraction of the training time"
    return [Line(name, spent, seconds, "s", spent / seconds, 0.01, "lower", note)]


def _train_tracked(
    folder: Path, config: TrainingConfig, stream: npt.NDArray[np.int64], stopwatch: Stopwatch
) -> tuple[float, float]:
    """Train; returns the seconds of the training, and the CPU seconds of other threads in that time."""
    model = our_gpt(
        num_hidden_layers=3,
        hidden_size=256,
        num_attention_heads=4,
        vocabulary_size=VOCABULARY_SIZE,
        max_position_embeddings=256,
    )
    sizes = {"sequence_length": 256, "batch_size": config.batch_size, "seed": 1, "max_validation_windows": 4}
    with tracking.model_run(
        Environment(),
        stage="pretrain",
        model="benchmark",
        family="gpt",
        parameters={},
        datasets=[],
        work_folder=folder / "checkpoints",
        resumed_from_step=0,
    ) as run:
        log = stopwatch.wrap(run.log_metrics)

        def on_metrics(step: int, metrics: Mapping[str, float]) -> None:
            log(step, metrics)

        before, start = _seconds_of_other_threads(), time.perf_counter()
        train(
            model,
            WindowBatches(stream, stream, **sizes),
            config,
            seed=1,
            checkpoints=folder / "checkpoints",
            on_metrics=on_metrics,
            description="Train",
        )
        seconds, in_others = time.perf_counter() - start, _seconds_of_other_threads() - before
        run.abort(KeyboardInterrupt("measured"))
    return seconds, in_others


def _seconds_of_other_threads() -> float:
    """CPU seconds of all Python threads except the main thread, which trains."""
    trains = threading.main_thread().native_id
    others = {thread.native_id for thread in threading.enumerate()} - {trains}
    return sum(sum(times[1:]) for times in psutil.Process().threads() if times[0] in others)
