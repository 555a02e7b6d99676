import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from lmcore.config.training import PretrainConfig
from lmcore.runtime.files import folder_digest
from lmcore.training.record import TrainingRecord
from tasks.context.environment import Environment
from tasks.pretrain import pretrain_language_model
from tests.lmcore.training.trainer import CONFIG as TRAINING
from tests.tasks.evaluate.test_evaluate import SHAPE, write_documents, write_models
from tests.tasks.tracking.trainings import curve, only_run, runs

SCRATCH = {"seed": 1, "mask_documents": False, "init_from": "scratch", "objective": None}


def test_the_record_the_curves_and_mlflow_have_the_same_metrics(environment: Any, tmp_path: Path) -> None:
    write_models(tmp_path, write_documents(tmp_path / "clean"))
    config = PretrainConfig.model_validate_json(
        json.dumps(SCRATCH | {"sequence_length": 24, "model": {"family": "ngram", "order": 2}, "training": TRAINING})
    )
    folders = {"tokens": tmp_path / "tokens", "model_folder": tmp_path / "model", "curves": tmp_path / "curves"}
    pretrain_language_model(config, environment, **folders)
    record = TrainingRecord.read(tmp_path / "model")
    run = only_run(environment)
    assert run.data.metrics["train/n_parameters"] == record.n_parameters
    assert run.data.metrics["validation/best_loss"] == record.best_validation_loss
    assert curve(environment, run, "validation/loss") == [(1, record.best_validation_loss)]
    with (tmp_path / "curves" / "validation.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"step": "1", "validation_loss": str(record.best_validation_loss)}]
    assert (tmp_path / "curves" / "training.csv").read_text() == "step,loss,gradient_norm,learning_rate\n"


def test_more_steps_continue_from_the_end_in_a_child_run_with_the_whole_history(
    environment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_models(tmp_path, write_documents(tmp_path / "clean"))

    def pretrain(folder: str, max_steps: int, restart_steps: list[int], work_folder: Path) -> tuple[str, str]:
        schedule = TRAINING["schedule"] | {"restart_steps": restart_steps}  # type: ignore[operator]
        training = TRAINING | {"max_steps": max_steps, "schedule": schedule}
        config = PretrainConfig.model_validate_json(
            json.dumps(SCRATCH | {"sequence_length": 24, "model": SHAPE.model_dump(), "training": training})
        )
        output = {"model_folder": tmp_path / folder / "model", "curves": tmp_path / folder / "curves"}
        where = Environment(work_folder=work_folder)
        pretrain_language_model(config, where, tokens=tmp_path / "tokens", **output)
        return folder_digest(output["model_folder"]), folder_digest(output["curves"])

    pretrain("first", 8, [], environment.work_folder)
    longer = pretrain("longer", 12, [8], environment.work_folder)
    first, second = runs(environment)
    assert second.data.tags["mlflow.parentRunId"] == first.info.run_id
    assert second.data.tags["continued.from_step"] == "8"
    assert [step for step, _ in curve(environment, second, "validation/loss")] == [7, 12]
    (state,) = environment.work_folder.glob("checkpoints/*/state")
    assert sorted(path.name for path in state.iterdir()) == ["step-00000009", "step-00000012.interrupted"]
    monkeypatch.setattr("tasks.tracking.model_run", without_tracking)
    assert pretrain("planned", 12, [8], tmp_path / "elsewhere") == longer


@contextmanager
def without_tracking(*_: Any, **__: Any) -> Iterator[Any]:
    yield Mock()
