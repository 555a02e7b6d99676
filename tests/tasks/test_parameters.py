"""A wrong parameter file is one message with every error: path, value, and what would be right."""

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flows.recipe import apply_recipe
from tasks.parameters import load_parameters

PROJECT = Path(__file__).parents[2]


def changed(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = (PROJECT / "params.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return path


def test_the_projects_own_file_is_right() -> None:
    load_parameters(PROJECT / "params.yaml")


def test_all_errors_come_at_once_with_path_value_and_what_is_right(tmp_path: Path) -> None:
    path = changed(
        tmp_path,
        ("n_heads: 4", "n_heads: 5"),
        ("max_steps:", "max_stepz:"),
        ("language: en", "language: 3"),
        ("decay: linear", "decay: off"),
    )
    with pytest.raises(ValueError, match="5 errors; nothing was started") as caught:
        load_parameters(path)
    message = str(caught.value)
    assert "pretrain.model.n_heads = 5: must divide width 256" in message
    assert "pretrain.training.max_stepz: unknown key; did you mean 'max_steps'?" in message
    assert "pretrain.training.max_steps: missing" in message
    assert "clean.language = 3: input should be a valid string" in message
    assert "pretrain.training.schedule.decay = \"off\": input should be 'linear' or 'cosine'" in message


def test_a_file_that_is_no_yaml_says_where(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("collect: [1\nclean: 2")
    with pytest.raises(ValueError, match=r"is not valid YAML; nothing was started(.|\n)*line 2"):
        load_parameters(tmp_path / "params.yaml")


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    path = changed(tmp_path, ("final_share: 0.02", "final_share: 2e-2"))
    assert load_parameters(path) == load_parameters(PROJECT / "params.yaml")


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run from the project's root"):
        load_parameters(tmp_path / "params.yaml")


def test_sections_that_do_not_fit_each_other_are_an_error(tmp_path: Path) -> None:
    path = changed(tmp_path, ("context_length: 256", "context_length: 128"))
    with pytest.raises(
        ValueError, match=r"context_length is 128, but .*max_prompt_tokens with the completion takes 208"
    ):
        load_parameters(path)


def test_an_encoder_decoder_has_room_for_the_prompt_and_for_the_completion(tmp_path: Path) -> None:
    text = apply_recipe((PROJECT / "params.yaml").read_text(), PROJECT / "recipes/multi30k-translation.yaml")
    path = tmp_path / "params.yaml"
    path.write_text(text)
    load_parameters(path)
    for key in ("max_prompt_tokens", "max_completion_tokens"):
        path.write_text(text.replace(f"{key}: 63", f"{key}: 65"))
        with pytest.raises(ValueError, match=r"context_length is 64, but .*takes 6[56]"):
            load_parameters(path)


@pytest.mark.parametrize("task", ["classification", "completion"])
def test_adapters_are_refused_where_the_family_has_no_map_for_them(tmp_path: Path, task: str) -> None:
    values = YAML(typ="safe").load((PROJECT / "params.yaml").read_text())
    values["pretrain"]["model"] = {"family": "hmm", "n_states": 8, "emission_rank": None}
    values["finetune"][task]["lora"] = {"rank": 8, "alpha": 16.0, "dropout": 0.0}
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=rf"finetune\.{task}\.lora: a model of family hmm has no linear maps"):
        load_parameters(path)
