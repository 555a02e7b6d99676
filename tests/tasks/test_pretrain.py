import csv
import json
from pathlib import Path
from typing import Any

from lmcore.config.training import PretrainConfig
from lmcore.training.record import TrainingRecord
from tasks.pretrain import pretrain_language_model
from tests.lmcore.training.trainer import CONFIG as TRAINING
from tests.tasks.evaluate.test_evaluate import write_documents, write_models
from tests.tasks.tracking.trainings import curve, only_run


def test_the_record_the_curves_and_mlflow_have_the_same_metrics(environment: Any, tmp_path: Path) -> None:
    write_models(tmp_path, write_documents(tmp_path / "clean"))
    config = PretrainConfig.model_validate_json(
        json.dumps(
            {
                "seed": 1,
                "sequence_length": 24,
                "mask_documents": False,
                "model": {"family": "ngram", "order": 2},
                "training": TRAINING,
            }
        )
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
