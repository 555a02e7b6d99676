"""Errors of a parameter file are one message with the path, the value and the remedy of each."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from flows.recipe import apply_recipe
from lmcore.config.training import AdamWConfig
from lmcore.errors import UserError
from tasks.context.parameters import load_parameters
from tasks.context.trainer_section import override

PROJECT = Path(__file__).parents[3]


def changed(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = (PROJECT / "params.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return path


def test_the_projects_own_file_is_valid() -> None:
    load_parameters(PROJECT / "params.yaml")


def test_all_errors_are_reported_at_once_with_path_value_and_remedy(tmp_path: Path) -> None:
    path = changed(
        tmp_path,
        ("num_attention_heads: 4", "num_attention_heads: 5"),
        ("max_steps:", "max_stepz:"),
        ("language: en", "language: 3"),
        ("decay_type: linear", "decay_type: off"),
    )
    with pytest.raises(ValueError, match="5 errors; nothing was started") as caught:
        load_parameters(path)
    message = str(caught.value)
    assert "presets.gpt.model.num_attention_heads = 5: must divide hidden_size 256" in message
    assert "pretrain.training.max_stepz: unknown key; did you mean 'max_steps'?" in message
    assert "pretrain.training.max_steps: missing" in message
    assert "clean.language = 3: input should be a valid string" in message
    assert "trainer.schedule.decay_type = \"off\": input should be 'linear' or 'cosine'" in message


def test_invalid_yaml_is_located(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("collect: [1\nclean: 2")
    with pytest.raises(UserError, match=r"is not valid YAML: line 2, column 6: .*; nothing was started"):
        load_parameters(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"# nothing but a comment\n", "is empty"),
        (b"[1, 2]", "contains [1, 2]; nothing was started: it needs the sections collect, clean,"),
        (b"a: 2020-01-01", "a = 2020-01-01: YAML reads this as a date; write it in quotes"),
        (b"<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> b\n", "contains merge conflict markers"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_message(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_parameters(tmp_path / "params.yaml")
    assert problem in str(caught.value)
    assert "nothing was started" in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("family: gpt", "family: gtp", 'presets.gpt.model.family = "gtp": expected one of ngram, hmm, lstm, gpt,'),
        ("family: gpt", "family: gtp", "did you mean 'gpt'?"),
        ("      family: gpt\n", "", "presets.gpt.model.family: missing; it sets the kind of this section"),
        ("kind: docstrings", "kind: magic", 'reader.kind = "magic": expected one of docstrings,'),
        ("seed: 1", f"seed: {2**63}", f"seed = {2**63}: expected an integer of at most {2**63 - 1}"),
        ("seed: 1", "seed: -1", "seed = -1: input should be greater than or equal to 0"),
        (
            "hidden_size: 256",
            "hidden_size: 1000000000",
            "presets.gpt.model.hidden_size = 1000000000: input should be less than or equal to",
        ),
        (
            "num_hidden_layers: ",
            "num_hidden_layers: 10000000 #",
            "presets.gpt.model.num_hidden_layers = 10000000: input should be less than",
        ),
        (
            "max_position_embeddings: 256",
            "max_position_embeddings: 1000000000",
            "max_position_embeddings = 1000000000: input should be less",
        ),
        ("weight: 1.0", "weight: .inf", "weight = Infinity: input should be a finite number"),
        ("weight: 1.0", "weight: .nan", "weight = NaN: input should be a finite number"),
        ("weight: 1.0", "weight: 1e400", "weight = Infinity: input should be a finite number"),
        *(
            ("name: documentation", f"name: {name}", "a name has at most 100 characters, no slash")
            for name in ("../../evil", "/etc/passwd", "..", ".hidden", r'"a\eb"', r'"a\nb"', r'"a\\b"', "x" * 101)
        ),
    ],
)
def test_an_impossible_value_is_one_line(old: str, new: str, line: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing was started") as caught:
        load_parameters(changed(tmp_path, (old, new)))
    assert line in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_a_section_overrides_a_setting_that_all_trainings_share(tmp_path: Path) -> None:
    parameters = load_parameters(PROJECT / "params.yaml")
    path = changed(tmp_path, ("      max_steps: 300", "      max_steps: 300\n      label_smoothing: 0.1"))
    completion = parameters.finetune.completion
    assert completion is not None
    expected = completion.training.model_copy(update={"label_smoothing": 0.1})
    changed_parameters = load_parameters(path)
    assert changed_parameters.finetune.completion is not None
    assert changed_parameters.finetune.completion.training == expected
    assert changed_parameters.pretrain == parameters.pretrain


def test_an_optimizer_of_another_kind_in_a_section_replaces_the_shared_one(tmp_path: Path) -> None:
    text = apply_recipe((PROJECT / "params.yaml").read_text(), PROJECT / "recipes/sst2-lstm.yaml")
    (tmp_path / "params.yaml").write_text(text)
    parameters = load_parameters(tmp_path / "params.yaml")
    assert parameters.pretrain.training.optimizer.name == "muon"
    assert parameters.finetune.classification is not None
    assert parameters.finetune.classification.training.optimizer == AdamWConfig(
        name="adamw", learning_rate=0.002, beta1=0.9, beta2=0.98, weight_decay=0.01
    )


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("precision: native", "precision: half", ["trainer.precision = \"half\": input should be 'native',"]),
        (
            "precision: native",
            "precisoin: native",
            ["trainer.precision: missing", "trainer.precisoin: unknown key; did"],
        ),
        ("name: muon", "name: mion", ['trainer.optimizer.name = "mion": expected one of adamw, muon; did you mean']),
        ("beta1: 0.9", "beta1: 2.0", ["trainer.optimizer.adamw.beta1 = 2.0: input should be less than 1"]),
        ("    max_steps: 1800\n", "", ["pretrain.training.max_steps: missing; add it"]),
        (
            "    max_steps: 1800",
            "    max_steps: 0",
            ["pretrain.training.max_steps = 0: input should be greater than 0"],
        ),
        (
            "    max_steps: 1800",
            "    max_steps: 1800\n    max_grad_norm: 0",
            ["pretrain.training.max_grad_norm = 0: input"],
        ),
        ("\ntrainer:", "\ntrainor:", ["trainer: expected a section", "trainor: unknown key; did you mean 'trainer'?"]),
        (
            "    dropout: 0.2",
            "    dropuot: 0.2",
            ["missing", "finetune.classification.dropuot: unknown key; did you mean"],
        ),
        (
            "hidden_act: ",
            "hiden_act: ",
            ["missing", "presets.gpt.model.hiden_act: unknown key; did you mean 'hidden_act'?"],
        ),
        (
            "\n    license:",
            "\n    licence:",
            ["missing", "collect.sources.0.licence: unknown key; did you"],
        ),
        ("top_k:", "top_k: 5", ["evaluate.completion.generation.top_k = 5: only sampling uses top_k; set it to null"]),
    ],
)
def test_an_error_names_the_place_where_the_value_is_written(
    old: str, new: str, lines: list[str], tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        load_parameters(changed(tmp_path, (old, new)))
    found = str(caught.value).splitlines()[1:]
    assert len(found) == len(lines)
    for line in lines:
        assert any(line in one for one in found), found


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (
            "",
            "has no version, but its sections are those of format 2; nothing was started. Add `version: 2`",
        ),
        ("version: 1", "Convert it with `python -m flows.upgrade "),
        ("version: 3", "is in format 3, but this release reads format 2 at most; nothing was started. Use the release"),
        ("version: two", "version = 'two': expected 2; nothing was started"),
        ("version: true", "version = True: expected 2; nothing was started"),
    ],
)
def test_a_file_of_another_version_is_refused_in_one_message(version: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_parameters(changed(tmp_path, ("version: 2", version)))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_every_recipe_makes_a_valid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)  # where the prompts of the recipes are
    recipes = sorted((PROJECT / "recipes").glob("*.yaml"))
    assert recipes
    for recipe in recipes:
        (tmp_path / "params.yaml").write_text(apply_recipe((PROJECT / "params.yaml").read_text(), recipe))
        load_parameters(tmp_path / "params.yaml")


def test_the_message_says_what_was_not_run_because_of_the_errors(tmp_path: Path) -> None:
    path = changed(tmp_path, ("max_steps:", "max_stepz:"))
    with pytest.raises(UserError, match="2 errors; clean was not run:"):
        load_parameters(path, consequence="clean was not run")


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    path = changed(tmp_path, ("min_lr_ratio: 0.02", "min_lr_ratio: 2e-2"))
    assert load_parameters(path) == load_parameters(PROJECT / "params.yaml")


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run from the project's root"):
        load_parameters(tmp_path / "params.yaml")


def test_sequences_that_exceed_the_context_are_an_error(tmp_path: Path) -> None:
    path = changed(tmp_path, ("max_position_embeddings: 256", "max_position_embeddings: 128"))
    with pytest.raises(
        ValueError, match=r"max_position_embeddings is 128, but .*max_prompt_tokens with the completion needs 244"
    ):
        load_parameters(path)


def test_an_encoder_decoder_has_room_for_the_prompt_and_for_the_completion(tmp_path: Path) -> None:
    text = apply_recipe((PROJECT / "params.yaml").read_text(), PROJECT / "recipes/multi30k-translation.yaml")
    path = tmp_path / "params.yaml"
    path.write_text(text)
    load_parameters(path)
    for key in ("max_prompt_tokens", "max_completion_tokens"):
        path.write_text(text.replace(f"{key}: 63", f"{key}: 65"))
        with pytest.raises(ValueError, match=r"max_position_embeddings is 64, but .*needs 6[56]"):
            load_parameters(path)


@pytest.mark.parametrize("task", ["classification", "completion"])
def test_adapters_are_refused_for_a_family_without_linear_maps(tmp_path: Path, task: str) -> None:
    values = YAML(typ="safe").load((PROJECT / "params.yaml").read_text())
    values["pretrain"]["model"] = "hmm"
    values["finetune"][task]["lora"] = {"rank": 8, "alpha": 16.0, "dropout": 0.0, "save_adapter": False}
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=rf"finetune\.{task}\.lora: a model of family hmm has no linear layers"):
        load_parameters(path)


@pytest.mark.parametrize("family", ["hmm", "lstm", "ngram"])
def test_a_family_that_attends_to_nothing_cannot_mask_documents(tmp_path: Path, family: str) -> None:
    path = changed(tmp_path, ("  model: gpt\n", f"  model: {family}\n"))
    load_parameters(path)
    path.write_text(path.read_text().replace("mask_documents: false", "mask_documents: true"))
    with pytest.raises(ValueError, match=f"pretrain: mask_documents .* set it to false for family {family}"):
        load_parameters(path)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"init_from": "models/base"}, "init_from = 'models/base' defines the model: set model to null"),
        ({"model": None}, "model is null, but init_from is scratch"),
        ({"init_from": "language_model", "model": None}, "init_from = 'language_model': expected 'scratch' or a model"),
        (
            {"objective": {"kind": "corrupted_spans", "noise_density": 0.1, "mean_noise_span_length": 3.0}},
            "objective is",
        ),
    ],
)
def test_pretraining_has_one_model_to_start_from(changes: dict[str, Any], error: str, tmp_path: Path) -> None:
    values = YAML(typ="safe").load((PROJECT / "params.yaml").read_text())
    preset = values["presets"][values["pretrain"]["model"]]
    values["pretrain"] = override(preset, values["pretrain"] | {"model": preset["model"]}) | changes
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(values))
    with pytest.raises(UserError) as caught:
        load_parameters(path)
    assert error in str(caught.value)


@pytest.mark.parametrize(
    ("section", "init_from", "error"),
    [
        ("classification", "completion", "completion is not trained before classification"),
        ("completion", "classification", "a classifier is not a language model"),
        ("completion", "completion", "completion is not trained before completion"),
    ],
)
def test_fine_tuning_starts_from_a_model_that_is_there(
    section: str, init_from: str, error: str, tmp_path: Path
) -> None:
    values = YAML(typ="safe").load((PROJECT / "params.yaml").read_text())
    values["finetune"][section]["init_from"] = init_from
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(values))
    with pytest.raises(UserError) as caught:
        load_parameters(path)
    assert f"{section}.init_from = '{init_from}': {error}" in str(caught.value)


def test_a_metric_is_one_that_the_training_is_measured_by(tmp_path: Path) -> None:
    values = YAML(typ="safe").load((PROJECT / "params.yaml").read_text())
    values["trainer"]["metric_for_best_model"] = "accuracy"
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(values))
    with pytest.raises(UserError) as caught:
        load_parameters(path)
    lines = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert "pretrain.training: metric_for_best_model is accuracy; expected loss here" in lines
    assert "finetune.completion.training: metric_for_best_model is accuracy; expected loss or chrf or exact_" in str(
        lines
    )
    assert not any("classification" in line for line in lines)


def test_a_prompt_has_the_field_that_is_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    path = changed(tmp_path, ("truncated_field: context", "truncated_field: text"))
    with pytest.raises(UserError, match=r"truncated_field.*must occur once, as {{ text }}"):
        load_parameters(path)


def test_an_ensemble_starts_from_scratch(tmp_path: Path) -> None:
    values = YAML(typ="safe").load((PROJECT / "params.yaml").read_text())
    path = tmp_path / "params.yaml"
    values["finetune"]["classification"] |= {"ensemble_size": 3, "init_from": "scratch"}
    path.write_text(json.dumps(values))
    load_parameters(path)
    values["finetune"]["classification"]["init_from"] = "language_model"
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="set ensemble_size to 1, or init_from to scratch"):
        load_parameters(path)


def test_adapters_are_kept_only_where_they_are_all_that_is_trained(tmp_path: Path) -> None:
    values = YAML(typ="safe").load((PROJECT / "params.yaml").read_text())
    lora = {"rank": 2, "alpha": 2.0, "dropout": 0.0, "save_adapter": True}
    path = tmp_path / "params.yaml"
    values["finetune"]["completion"] |= {"lora": lora, "frozen_layers": None}
    path.write_text(json.dumps(values))
    load_parameters(path)
    values["finetune"]["completion"]["frozen_layers"] = 1
    values["finetune"]["classification"]["lora"] = lora
    path.write_text(json.dumps(values))
    with pytest.raises(UserError) as caught:
        load_parameters(path)
    lines = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert lines == [
        "finetune.classification.lora: the head of a classifier is not an adapter; set save_adapter to false",
        "finetune.completion.frozen_layers = 1: lora trains adapters alone, so all layers are frozen: set "
        "frozen_layers or lora to null",
    ]
