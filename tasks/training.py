"""Trains a model where it can be interrupted, seen and found again: checkpoints, tracking, folder, curves."""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcore.config.training import TrainingConfig
from lmcore.models.trainable import TrainableModel
from lmcore.runtime.files import atomic_folder
from lmcore.tokens.batches.batches import Batches
from lmcore.training.checkpoint import load_checkpoint
from lmcore.training.loop import OnMetrics, train
from lmcore.training.memory import keep_freed_memory
from lmcore.training.precision import compute_dtype
from tasks import tracking
from tasks.context.checkpoints import WorkFolder, checkpoint_folder
from tasks.context.environment import Environment
from tasks.context.lineage import is_forced
from tasks.context.machine import peak_matrix_rate
from tasks.curves import write_curves

logger = logging.getLogger(__name__)

MODEL, CURVES = "model", "curves"

MakeRecord = Callable[[Path, OnMetrics], dict[str, Any]]
"""Makes a model, given a folder for checkpoints and where to report figures; answers the training record."""


@dataclass(frozen=True)
class TrackedTraining:
    """What a training is called and what it depends on.

    Attributes:
        stage: the DVC stage.
        model: what the model is for; also what its run is called.
        parameters: everything from ``params.yaml`` that the result depends on.
        inputs: folders that the result depends on.
        datasets: those of them that are data.
        base_model: the folder of the model that the training starts from, if it does from one.
    """

    stage: str
    model: str
    parameters: Mapping[str, Any]
    inputs: Sequence[Path]
    datasets: Sequence[Path]
    base_model: Path | None = None

    def run(
        self,
        make: MakeRecord,
        environment: Environment,
        *,
        save: Callable[[Path, dict[str, Any]], None],
        model_folder: Path,
        curves: Path,
    ) -> None:
        """Let ``make`` train the model and ``save`` write its folder from the record; write the curves as well.

        A training that has finished already with the same parameters, inputs and code, and whose stage was then
        killed, is not repeated: its result is kept in the work folder and is the same, byte for byte. Whoever tells
        DVC to force the stage has it computed.
        """
        parent = environment.work_folder / "checkpoints"
        with checkpoint_folder(
            parent, self.model, config=self.parameters, inputs=self.inputs, code=self._code()
        ) as work:
            if is_forced():
                work.forget_result()
            result = work.result()
            if result is None:
                self._train(make, environment, save, work, model_folder, curves)
                return
            logger.info(
                "%s: trained before with the same parameters, inputs and code; reusing that result "
                "(`dvc repro --force` retrains)",
                self.model,
            )
            _copy_result(result, model_folder, curves)
            tracking.finish_run(environment, work.path, result / MODEL, model_folder)

    def _train(
        self,
        make: MakeRecord,
        environment: Environment,
        save: Callable[[Path, dict[str, Any]], None],
        work: WorkFolder,
        model_folder: Path,
        curves: Path,
    ) -> None:
        with tracking.model_run(
            environment,
            stage=self.stage,
            model=self.model,
            parameters=self.parameters,
            datasets=self.datasets,
            work_folder=work.path,
            resumed_from_step=_last_step(work.path),
            base_model=self.base_model,
        ) as run:
            record = make(work.path, run.log_metrics)

            def write(folder: Path) -> None:
                save(folder / MODEL, record)
                write_curves(folder / CURVES, record["history"])

            result = work.keep(write)
            _copy_result(result, model_folder, curves)
            run.finish(result / MODEL, model_folder)
        logger.info("%s", _summary(self.model, record))

    def _code(self) -> list[Path]:
        """What of this package decides the result."""
        here = Path(__file__)
        return [here, here.with_name("curves.py"), here.with_name(f"{self.stage}.py")]


def _copy_result(result: Path, model_folder: Path, curves: Path) -> None:
    for source, target in ((result / MODEL, model_folder), (result / CURVES, curves)):
        with atomic_folder(target) as temporary:
            shutil.copytree(source, temporary, dirs_exist_ok=True)


def by_gradient(
    model: TrainableModel,
    batches: Batches,
    config: TrainingConfig,
    environment: Environment,
    *,
    seed: int,
    description: str,
    facts: Mapping[str, Any] | None = None,
) -> MakeRecord:
    """The making of a model that the training loop trains; its record also says ``facts``."""

    def make(checkpoints: Path, log: OnMetrics) -> dict[str, Any]:
        with keep_freed_memory():
            record = train(
                model,
                batches,
                config,
                seed=seed,
                checkpoints=checkpoints,
                on_metrics=_with_utilization(log, model, config, environment),
                description=description,
            )
        return record | dict(facts or {})

    return make


def _with_utilization(
    log: OnMetrics, model: TrainableModel, config: TrainingConfig, environment: Environment
) -> OnMetrics:
    """Add to every rate the share of this machine's matrix products that it takes."""
    device = model.device
    peak = peak_matrix_rate(device, compute_dtype(config, device), environment.work_folder / "matrix-rates.json")
    operations = model.training_operations_per_token()

    def log_with_utilization(step: int, figures: Mapping[str, float]) -> None:
        rate = figures.get("tokens_per_second")
        log(step, figures if rate is None else {**figures, "utilization_of_peak": rate * operations / peak})

    return log_with_utilization


def _last_step(work: Path) -> int:
    checkpoint = load_checkpoint(work)
    return checkpoint.step if checkpoint else 0


def _summary(model: str, record: Mapping[str, Any]) -> str:
    return (
        f"{model}: {record['n_parameters']:,} parameters, {record['n_steps']} steps of {record['n_epochs']} epochs, "
        f"best validation loss {record['best_validation_loss']:.3f} nats at step {record['best_step']}"
    )
