"""Runs a training so that it can be interrupted, tracked and reused: checkpoints, MLflow run, model folder, plots.

::

    with tracked_training(environment, stage="pretrain", ...) as training:
        if training is not None:
            record = training.train(model, batches, config, seed=seed)
            training.save(record, lambda folder: save_language_model(folder, model, tokenizer, record.to_json()))
"""

import csv
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmcore.config.training import TrainingConfig
from lmcore.models.trainable import TrainableModel
from lmcore.runtime.files import atomic_file, atomic_folder
from lmcore.tokens.batches.batches import Batches
from lmcore.training.checkpoint import load_checkpoint
from lmcore.training.loop import OnMetrics, train
from lmcore.training.memory import keep_freed_memory
from lmcore.training.precision import compute_dtype
from lmcore.training.record import TrainingRecord
from lmcore.training.validation import MeasureModel
from tasks import tracking
from tasks.context.checkpoints import WorkFolder, checkpoint_folder, training_of
from tasks.context.environment import Environment
from tasks.context.lineage import is_forced
from tasks.context.machine import peak_matrix_rate
from tasks.context.stage_code import stage_code

logger = logging.getLogger(__name__)

MODEL, CURVES = "model", "curves"


class Training:
    """A training in progress; :func:`tracked_training` makes one."""

    def __init__(
        self,
        name: str,
        environment: Environment,
        work: WorkFolder,
        run: tracking.ModelRun,
        *,
        model_folder: Path,
        curves: Path,
        on_metrics: OnMetrics | None,
    ) -> None:
        self._name, self._environment, self._work, self._run = name, environment, work, run
        self._model_folder, self._curves, self._on_metrics = model_folder, curves, on_metrics
        self.checkpoints = work.path
        """The folder for checkpoints; it survives a kill."""

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of a step (counted from 1) to MLflow."""
        self._run.log_metrics(step, metrics)
        if self._on_metrics is not None:
            self._on_metrics(step, metrics)

    def train(
        self,
        model: TrainableModel,
        batches: Batches,
        config: TrainingConfig,
        *,
        seed: int,
        measure: MeasureModel | None = None,
    ) -> TrainingRecord:
        """Train ``model`` in place by :func:`lmcore.training.loop.train`, and log its metrics.

        A training that was interrupted is resumed. If an earlier training has done its first steps, it continues from
        there: its run has the whole history, and the run of the earlier training is its parent.
        """
        on_metrics = self._with_mfu(model, config)
        with keep_freed_memory():
            self.report_start()
            return train(
                model,
                batches,
                config,
                seed=seed,
                checkpoints=self.checkpoints,
                earlier=self._work.earlier,
                measure=measure,
                on_metrics=on_metrics,
                on_continued=lambda folder, step: self._run.continues(training_of(folder), step),
                description=f"Train {self._name}",
            )

    def save(self, record: TrainingRecord, save_model: Callable[[Path], None]) -> None:
        """Write the model folder and the curves, and finish the MLflow run.

        Args:
            record: the result of the training.
            save_model: writes the model to the folder that it is given.
        """

        def write(folder: Path) -> None:
            save_model(folder / MODEL)
            write_curves(folder / CURVES, record)

        result = self._work.save_result(write)
        _copy_result(result, self._model_folder, self._curves)
        self._run.finish(result / MODEL, self._model_folder)
        logger.info(
            "%s: %s parameters, %d steps of %s epochs, best validation loss %.3f nats at step %d",
            self._name,
            f"{record.n_parameters:,}",
            record.n_steps,
            record.n_epochs,
            record.best_validation_loss,
            record.best_step,
        )

    def report_start(self) -> None:
        """Tell the listener that the training starts now."""
        if self._on_metrics is not None:
            self._on_metrics(0, {})

    def _with_mfu(self, model: TrainableModel, config: TrainingConfig) -> OnMetrics:
        """Add ``mfu`` to the metrics: the fraction of this machine's peak matrix throughput that the training uses."""
        rates = self._environment.work_folder / "matrix-rates.json"
        peak = peak_matrix_rate(model.device, compute_dtype(config, model.device), rates)
        flops_per_token = model.flops_per_token()

        def log(step: int, metrics: Mapping[str, float]) -> None:
            if "tokens_per_second" in metrics:
                metrics = {**metrics, "mfu": metrics["tokens_per_second"] * flops_per_token / peak}
            self.log_metrics(step, metrics)

        return log


@contextmanager
def tracked_training(
    environment: Environment,
    *,
    stage: str,
    model: str,
    family: str,
    parameters: Mapping[str, Any],
    inputs: Sequence[Path],
    datasets: Sequence[Path],
    model_folder: Path,
    curves: Path,
    base_model: Path | None = None,
    on_metrics: OnMetrics | None = None,
    reuses_result: bool = True,
) -> Iterator[Training | None]:
    """Open a training, which ends with :meth:`Training.save`, or yield None where its result is already known.

    A training that finished earlier with the same parameters, inputs and code, and whose stage was killed before DVC
    committed its outputs, is not repeated: its result was kept and is copied to ``model_folder`` and ``curves``, byte
    for byte. ``dvc repro --force`` trains again.

    Args:
        environment: where the work folder and the tracking store are.
        stage: the DVC stage.
        model: the model's purpose, which is also the name of its run, such as "language-model" or "classifier".
        family: the family of the model.
        parameters: all values in ``params.yaml`` that the result depends on.
        inputs: the files and folders that the result depends on.
        datasets: those inputs that are data.
        model_folder: where the model is written.
        curves: the folder for the tables that ``dvc plots`` draws.
        base_model: the folder of the model that the training starts from, which is one of the inputs.
        on_metrics: also called with all metrics; first with step 0 and no metrics, when the training starts.
        reuses_result: whether a known result is used, or an earlier training continued, instead of training again.
    """
    with checkpoint_folder(
        environment.work_folder / "checkpoints",
        model,
        config=parameters,
        inputs=inputs,
        code=stage_code(stage),
    ) as work:
        if is_forced() or not reuses_result:
            work.remove_result()
            work = replace(work, earlier=())
        if (result := work.result()) is not None:
            logger.info(
                "%s: trained before with the same parameters, inputs and code; reusing that result "
                "(`dvc repro --force` trains again)",
                model,
            )
            _copy_result(result, model_folder, curves)
            tracking.finish_run(environment, work.path, result / MODEL, model_folder)
            yield None
            return
        with tracking.model_run(
            environment,
            stage=stage,
            model=model,
            family=family,
            parameters=parameters,
            datasets=datasets,
            work_folder=work.path,
            resumed_from_step=checkpoint.step if (checkpoint := load_checkpoint(work.path)) else 0,
            base_model=base_model,
        ) as run:
            training = Training(
                model, environment, work, run, model_folder=model_folder, curves=curves, on_metrics=on_metrics
            )
            training.report_start()
            yield training


def write_curves(folder: Path, record: TrainingRecord) -> None:
    """Write the tables that ``dvc plots`` draws: ``training.csv`` (loss, gradient_norm, learning_rate) and
    ``validation.csv`` (validation_loss), by step."""
    tables = {"training": ("step", "loss", "gradient_norm", "learning_rate"), "validation": ("step", "validation_loss")}
    for name, columns in tables.items():
        path = folder / f"{name}.csv"
        with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(metrics for metrics in record.history if columns[1] in metrics)


def _copy_result(result: Path, model_folder: Path, curves: Path) -> None:
    for source, target in ((result / MODEL, model_folder), (result / CURVES, curves)):
        with atomic_folder(target) as temporary:
            shutil.copytree(source, temporary, dirs_exist_ok=True)
