"""An error in a setting that trainings share or set themselves is named where it is written."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lmcore.errors import UserError
from tasks.context.parameters import load_parameters
from tasks.context.trainer_section import override

PROJECT = Path(__file__).parents[3]


def with_trainings(tmp_path: Path, trainer: dict[str, Any], own: dict[str, Any]) -> Path:
    """The project's own parameters with settings in ``trainer``, and others in every training."""
    values = YAML(typ="safe").load((PROJECT / "params.yaml").read_text())
    values["trainer"] = override(values["trainer"], trainer)
    for section in (
        values["pretrain"],
        *(section for section in values["finetune"].values() if isinstance(section, dict)),
    ):
        section["training"] = override(section["training"], own)
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(values))
    return path


ADAMW = {"name": "adamw", "learning_rate": 0.1, "beta1": 0.9, "beta2": 0.9, "weight_decay": 0.0}


@pytest.mark.parametrize(
    ("trainer", "own", "error"),
    [
        ({"precision": "fast"}, {"precision": "float32"}, "trainer.precision = \"fast\": input should be 'native', "),
        ({"optimizer": {"momentum": "high"}}, {"optimizer": ADAMW}, 'trainer.optimizer.momentum = "high": input'),
        ({"schedule": {"warmup_stepz": 3}}, {}, "trainer.schedule.warmup_stepz: unknown key; did you mean 'warmup_st"),
    ],
)
def test_a_setting_of_trainer_is_checked_although_every_training_sets_it_itself(
    trainer: dict[str, Any], own: dict[str, Any], error: str, tmp_path: Path
) -> None:
    load_parameters(with_trainings(tmp_path, {}, own))
    with pytest.raises(UserError, match="has 1 error;") as caught:
        load_parameters(with_trainings(tmp_path, trainer, own))
    assert error in str(caught.value)


def test_what_an_optimizer_of_another_kind_lacks_is_named_where_it_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_parameters(with_trainings(tmp_path, {}, {"optimizer": {"name": "adamw", "learning_rate": 0.1}}))
    missing = {line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]}
    sections = ("pretrain", "finetune.classification", "finetune.completion")
    keys = ("beta1", "beta2", "weight_decay")
    assert missing >= {f"{section}.training.optimizer.{key}" for section in sections for key in keys}
    assert not any(name.startswith("trainer") for name in missing)
