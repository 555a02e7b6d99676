"""A preset is chosen by one word, and what ``pretrain`` sets itself counts more."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from lmcore.errors import UserError
from tasks.context.parameters import load_parameters
from tasks.context.preset_section import preset_location, with_preset

PROJECT = Path(__file__).parents[3]
PRESETS = {
    "small": {"sequence_length": 8, "model": {"family": "lstm", "size": 1}, "training": {"batch_size": 2, "steps": 3}},
    "large": {"sequence_length": 9, "model": {"family": "gpt", "size": 5}, "training": {"batch_size": 4}},
}
NAMES = list(YAML(typ="safe").load(PROJECT / "params.yaml")["presets"])


def sections(**pretrain: Any) -> dict[str, Any]:
    return {"pretrain": {"seed": 1, **pretrain}, "presets": PRESETS}


def test_pretraining_has_the_settings_of_the_preset_that_it_names() -> None:
    merged = with_preset(sections(model="small", training={"batch_size": 16, "rate": 0.1}))
    assert merged == {
        "pretrain": {
            "seed": 1,
            "sequence_length": 8,
            "model": {"family": "lstm", "size": 1},
            "training": {"batch_size": 16, "steps": 3, "rate": 0.1},
        }
    }


@pytest.mark.parametrize("model", [None, {"family": "gpt"}, "unknown", [1]])
def test_without_a_preset_everything_stays(model: Any) -> None:
    assert with_preset(sections(model=model))["pretrain"] == {"seed": 1, "model": model}


def test_the_place_of_a_setting_is_where_it_is_written_or_should_be() -> None:
    written = sections(model="small", training={"batch_size": 16})
    assert preset_location(("pretrain", "model", "size"), written) == ("presets", "small", "model", "size")
    assert preset_location(("pretrain", "training", "batch_size"), written) == ("pretrain", "training", "batch_size")
    assert preset_location(("pretrain", "training", "steps"), written) == ("presets", "small", "training", "steps")
    assert preset_location(("pretrain", "training", "rate"), written) == ("pretrain", "training", "rate")
    assert preset_location(("pretrain", "sequence_length"), written) == ("presets", "small", "sequence_length")
    assert preset_location(("evaluate", "seed"), written) == ("evaluate", "seed")


@pytest.mark.parametrize("name", NAMES)
def test_one_word_of_an_experiment_chooses_any_family(name: str, tmp_path: Path) -> None:
    path = Path(shutil.copy(PROJECT / "params.yaml", tmp_path))
    before = path.read_text().splitlines()
    apply_overrides(path, [f"pretrain.model={name}"])
    changed = [new for old, new in zip(before, path.read_text().splitlines(), strict=True) if old != new]
    assert changed == ([] if name == "gpt" else [f"  model: {name}"])
    assert load_parameters(path).pretrain.model.family == name


def test_an_unknown_preset_is_one_line_that_lists_the_known_ones(tmp_path: Path) -> None:
    path = Path(shutil.copy(PROJECT / "params.yaml", tmp_path))
    apply_overrides(path, ["pretrain.model=lstn"])
    with pytest.raises(UserError) as caught:
        load_parameters(path)
    first, line = str(caught.value).splitlines()
    assert "1 error" in first
    assert line.startswith('  pretrain.model = "lstn": expected a preset (gpt, lstm,')
    assert line.endswith("did you mean 'lstm'?")


def test_dvc_compares_the_presets_of_the_stage_that_uses_them() -> None:
    stages = YAML(typ="safe").load(PROJECT / "dvc.yaml")["stages"]
    assert "presets" in stages["pretrain"]["params"]
