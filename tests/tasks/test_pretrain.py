import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from lmcore.config.base import Config
from lmcore.config.training import PretrainConfig
from lmcore.errors import UserError
from lmcore.models.families import build_model
from lmcore.models.folder import load_language_model, save_language_model
from lmcore.runtime.files import folder_digest
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.training.record import TrainingRecord
from tasks.context.environment import Environment
from tasks.pretrain import pretrain_language_model
from tests.lmcore.models.small_models import CONFIGS
from tests.lmcore.training.trainer import CONFIG as TRAINING
from tests.tasks.evaluate.evaluated_project import SHAPE, write_documents, write_models
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


@pytest.mark.parametrize(
    ("family", "objective"),
    [
        ("bert", {"kind": "masked_tokens", "mlm_probability": 0.4, "use_whole_words": False}),
        ("encoder_decoder", {"kind": "corrupted_spans", "noise_density": 0.4, "mean_noise_span_length": 2.0}),
    ],
)
def test_a_model_is_trained_further_from_a_folder_with_its_objective_or_another(
    family: str, objective: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.tracking.model_run", without_tracking)
    write_models(tmp_path, write_documents(tmp_path / "clean"))
    tokenizer = Tokenizer.load(tmp_path / "tokens" / "tokenizer.json")
    base = build_model(CONFIGS[family].model_copy(update={"max_position_embeddings": 32}), tokenizer.vocabulary)
    save_language_model(tmp_path / "base", base, tokenizer, {})

    def pretrain(objective: dict[str, Any] | None, sequence_length: int = 24) -> Config:
        start = SCRATCH | {"init_from": str(tmp_path / "base"), "model": None, "objective": objective}
        training = TRAINING | {"max_steps": 1, "eval_steps": 1}
        config = PretrainConfig.model_validate_json(
            json.dumps(start | {"sequence_length": sequence_length, "training": training})
        )
        output = {"model_folder": tmp_path / "new", "curves": tmp_path / "curves"}
        pretrain_language_model(
            config, Environment(work_folder=tmp_path / "work"), tokens=tmp_path / "tokens", **output
        )
        return load_language_model(tmp_path / "new")[0].config

    assert pretrain(None) == base.config
    values = {name: value for name, value in objective.items() if name != "kind"}
    name = "masking" if family == "bert" else "corruption"
    assert pretrain(objective).model_dump() == base.config.model_dump() | {name: values}
    other = {"kind": "corrupted_spans", "noise_density": 0.4, "mean_noise_span_length": 2.0}
    if family == "bert":
        with pytest.raises(
            UserError, match="the objective is corrupted_spans, but a model of family bert learns masked"
        ):
            pretrain(other)
    with pytest.raises(UserError, match=r"pretrain\.sequence_length is 33, but the model in .* at most 32 tokens"):
        pretrain(objective, sequence_length=33)


@contextmanager
def without_tracking(*_: Any, **__: Any) -> Iterator[Any]:
    yield Mock()
