"""A model folder gives back the model that was saved, and a folder with anything else is refused with the reason."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lmcore.errors import UserError
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.folder import save_classifier
from lmcore.models.conversion import convert_model_folder
from lmcore.models.families import build_model
from lmcore.models.folder import load_generative_model, load_language_model, read_description, save_language_model
from lmcore.models.verification import write_sums
from lmcore.runtime.files import folder_digest
from tests.lmcore.models.prompt_formats import prompt_format_with
from tests.lmcore.models.small_models import CONFIGS
from tests.lmcore.models.test_conversion import LAST_RELEASE, NAMES
from tests.lmcore.models.test_families import TOKENIZER, families, make_encoder


def rewritten(folder: Path, change: Callable[[dict[str, object]], object]) -> Path:
    """The folder of a new model, with another ``config.json`` and valid checksums."""
    save_language_model(folder, make_encoder("gpt"), TOKENIZER, {})
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(change(values)))
    write_sums(folder)
    return folder


@families
def test_a_saved_model_is_the_same(family: str, tmp_path: Path) -> None:
    model = make_encoder(family)
    save_language_model(tmp_path / "model", model, TOKENIZER, {})
    loaded, tokenizer = load_language_model(tmp_path / "model")
    assert (type(loaded), loaded.config, tokenizer.vocabulary) == (type(model), model.config, TOKENIZER.vocabulary)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(weight, loaded.state_dict()[name]) for name, weight in model.state_dict().items())


def test_equal_models_have_equal_folders_and_another_model_replaces_one_completely(tmp_path: Path) -> None:
    for name in ("first", "second"):
        save_language_model(tmp_path / name, make_encoder("gpt"), TOKENIZER, {"steps": 7})
    assert folder_digest(tmp_path / "first") == folder_digest(tmp_path / "second")
    (tmp_path / "first" / "note.txt").write_text("of the old model")
    save_language_model(tmp_path / "first", make_encoder("gpt2"), TOKENIZER, {})
    assert not (tmp_path / "first" / "note.txt").exists()
    assert read_description(tmp_path / "first").model.family == "gpt2"


def test_a_prompt_format_makes_a_completion_model(tmp_path: Path) -> None:
    prompt_format = prompt_format_with(" => ", 3, 4)
    save_language_model(tmp_path / "model", make_encoder("gpt"), TOKENIZER, {}, prompt_format=prompt_format)
    description = read_description(tmp_path / "model")
    assert (description.kind, description.prompt_format) == ("completion", prompt_format)


def test_a_classifier_is_no_language_model_and_a_masked_language_model_generates_no_text(tmp_path: Path) -> None:
    save_classifier(tmp_path / "classifier", Classifier(make_encoder("gpt"), ["a", "b"], max_tokens=8), TOKENIZER, {})
    with pytest.raises(UserError, match=r"classifier holds a classifier, not a language model"):
        load_language_model(tmp_path / "classifier")
    save_language_model(tmp_path / "bert", build_model(CONFIGS["bert"], TOKENIZER.vocabulary), TOKENIZER, {})
    load_language_model(tmp_path / "bert")
    with pytest.raises(UserError, match="holds a model of family bert, which does not generate text"):
        load_generative_model(tmp_path / "bert")


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_the_last_release_is_refused_with_the_command_that_converts_it(name: str) -> None:
    with pytest.raises(UserError, match=rf"format 1, .* reads format 2; convert it with `lmcore convert .*{name} NEW"):
        read_description(LAST_RELEASE / name)


def test_a_folder_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    convert_model_folder(LAST_RELEASE / "gpt", tmp_path / "gpt")
    path = tmp_path / "gpt" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 3}))
    write_sums(tmp_path / "gpt")
    with pytest.raises(UserError, match="of format 3, but this release reads format 2 at most; use a newer release"):
        read_description(tmp_path / "gpt")
    with pytest.raises(UserError, match="is in format 3, which this release does not know"):
        convert_model_folder(tmp_path / "gpt", tmp_path / "again")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values | {"version": "two"}, r"config\.json: version = 'two': expected 2"),
        (lambda values: values | {"version": True}, r"config\.json: version = True: expected 2"),
        (lambda values: [values], r"config\.json is not a JSON object"),
        (lambda values: values | {"kind": "poem"}, r"(?s)config\.json does not describe a model: .*kind"),
        (lambda values: values | {"size": 3}, r"(?s)config\.json does not describe a model: .*size"),
    ],
)
def test_a_description_with_an_error_is_refused_with_the_file_and_the_field(
    change: Callable[[dict[str, object]], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        read_description(rewritten(tmp_path / "model", change))


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path} is not a model folder: it has no config\.json"):
        load_language_model(tmp_path)


def test_a_folder_without_the_newer_fields_means_what_it_meant(tmp_path: Path) -> None:
    save_classifier(tmp_path / "classifier", Classifier(make_encoder("gpt"), ["a", "b"], max_tokens=8), TOKENIZER, {})
    prompt_format = prompt_format_with(" => ", 3, 4)
    save_language_model(tmp_path / "completion", make_encoder("gpt"), TOKENIZER, {}, prompt_format=prompt_format)
    for name, old in (("classifier", {}), ("completion", {"separator": " => ", "max_prompt_tokens": 3})):
        path = tmp_path / name / "config.json"
        values = json.loads(path.read_text())
        del values["problem_type"], values["temperature"], values["ensemble_size"]
        if old:
            values["prompt_format"] = old | {"max_completion_tokens": 4}
        path.write_text(json.dumps(values))
        write_sums(tmp_path / name)
    classifier, completion = (read_description(tmp_path / name) for name in ("classifier", "completion"))
    assert (classifier.problem_type, classifier.temperature) == ("single_label_classification", 1.0)
    assert (completion.problem_type, completion.temperature) == (None, None)
    assert (classifier.ensemble_size, completion.ensemble_size) == (1, None)
    n_tokens = len(TOKENIZER.encode(" => "))
    assert completion.prompt_format == prompt_format.model_copy(update={"max_prompt_tokens": 3 + n_tokens})
