"""The trainings of a study: measured beforehand, run as in the pipeline, and timed."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lmcore.config.training import PretrainConfig, TrainingConfig
from lmcore.models.device import pick_device
from lmcore.models.families import build_model
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.corpus.shards import TokenShards
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.training.pretraining import pretraining_batches
from lmcore.training.record import TrainingRecord
from lmcore.training.timing import TrainingCost, added_memory, measure_cost
from tasks.compare.study import Study
from tasks.compare.timed_curve import TimedCurve
from tasks.pretrain import pretrain_language_model

UNLIMITED_EPOCHS = 1000.0


@dataclass(frozen=True)
class TimedTraining:
    """A training that has ended.

    Attributes:
        model_folder: the trained model.
        record: its training record.
        curve: its metrics over time.
        memory_bytes: the most memory that the training added to the process; None where the system does not
            report it.
    """

    model_folder: Path
    record: TrainingRecord
    curve: TimedCurve
    memory_bytes: int | None


def cost_of(study: Study, name: str, config: PretrainConfig, tokens: Path, *, n_steps: int) -> TrainingCost | None:
    """What a training costs on this machine, measured once per study; None for a model that is counted."""

    def measure() -> dict[str, Any]:
        shards, tokenizer = TokenShards.open(tokens), Tokenizer.load(tokens / "tokenizer.json")
        torch.manual_seed(config.seed)
        model = build_model(config.scratch_model, tokenizer.vocabulary)
        if not isinstance(model, TrainableModel):
            return {"is_counted": True}
        batches = pretraining_batches(model.to(pick_device()), config, shards, tokenizer)
        return measure_cost(model, batches, config.training, n_steps=n_steps, seed=config.seed).as_json()

    found = study.kept(f"cost-{name}", measure)
    return None if "is_counted" in found else TrainingCost(**found)


def with_steps(config: PretrainConfig, *, n_steps: int, n_validations: int) -> PretrainConfig:
    """The same training with another number of steps, validated at regular intervals, with a checkpoint each time."""
    interval = max(1, n_steps // n_validations)
    training: TrainingConfig = config.training.model_copy(
        update={
            "max_steps": n_steps,
            "num_train_epochs": UNLIMITED_EPOCHS,
            "early_stopping_patience": None,
            "schedule": config.training.schedule.model_copy(update={"restart_steps": ()}),
            "eval_steps": interval,
            "save_steps": interval,
            "logging_steps": min(config.training.logging_steps, interval),
        }
    )
    return config.model_copy(update={"training": training})


def train_timed(study: Study, name: str, config: PretrainConfig, tokens: Path) -> TimedTraining:
    """Train as the stage pretrain does, in a child run, or continue a training that was interrupted.

    Args:
        study: the study.
        name: the model's name, also of its run.
        config: model and training.
        tokens: the folder of the tokens.
    """
    curve = TimedCurve(study.folder / "curves" / f"{name}.jsonl")
    folder = study.folder / "models" / name
    with added_memory() as added:
        pretrain_language_model(
            config,
            study.environment,
            tokens=tokens,
            model_folder=folder,
            curves=study.folder / "tables" / name,
            name=name,
            on_metrics=curve.log,
            reuses_result=bool(curve.rows),
        )
        memory = added()
    return TimedTraining(folder, TrainingRecord.read(folder), curve, memory)


def remove_model(training: TimedTraining) -> None:
    """Free the disk space of a model that has been evaluated."""
    shutil.rmtree(training.model_folder, ignore_errors=True)
