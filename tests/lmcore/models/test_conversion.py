"""Model folders of the last release are converted and then answer as they did.

``last_release`` holds a tiny model of each family and kind that the last release wrote, and what that release computed
with them: logits of the tokens 0 5 4 7 9, log-probabilities of an n-gram model, probabilities of a classifier.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lmcore.errors import UserError
from lmcore.finetuning.classification.folder import load_classifier
from lmcore.finetuning.classification.prediction import predict
from lmcore.models.conversion import convert_model_folder
from lmcore.models.folder import load_language_model, read_description
from lmcore.models.ngram.model import NgramModel
from lmcore.models.prompt import encode_prompt
from lmcore.models.prompt_template import render_template
from lmcore.models.verification import verify, write_sums

LAST_RELEASE = Path(__file__).parent / "last_release"
NAMES = sorted(path.name for path in LAST_RELEASE.iterdir() if path.is_dir())
TOKENS = [0, 5, 4, 7, 9]


def answer(folder: Path) -> np.ndarray:
    if folder.name == "classifier":
        return predict(*load_classifier(folder), ["a fox jump over"])
    model, tokenizer = load_language_model(folder)
    assert [0, *tokenizer.encode("a fox jump over")] == TOKENS
    if isinstance(model, NgramModel):
        return model.score_documents([np.array(TOKENS[1:])]).log_probabilities
    with torch.no_grad():
        if folder.name == "encoder_decoder":
            state = model.new_state(torch.tensor([TOKENS]))
            return model(torch.tensor([TOKENS[:2]]), state=state)[0].numpy()
        return model(torch.tensor([TOKENS]))[0].numpy()


@pytest.mark.parametrize("name", NAMES)
def test_a_converted_model_answers_as_in_the_last_release(name: str, tmp_path: Path) -> None:
    convert_model_folder(LAST_RELEASE / name, tmp_path / name)
    expected = json.loads((LAST_RELEASE / "answers.json").read_text())[name]
    np.testing.assert_allclose(answer(tmp_path / name), expected, rtol=1e-5, atol=1e-6)
    assert (tmp_path / name / "weights.safetensors").read_bytes() == (
        LAST_RELEASE / name / "weights.safetensors"
    ).read_bytes()
    verify(tmp_path / name, "config.json", "record.json", "tokenizer.json", "weights.safetensors")
    record = json.loads((LAST_RELEASE / name / "record.json").read_text())
    assert json.loads((tmp_path / name / "record.json").read_text()) == {"version": 2} | record


def test_a_folder_may_be_replaced_by_what_it_is_converted_to(tmp_path: Path) -> None:
    folder = shutil.copytree(LAST_RELEASE / "lstm", tmp_path / "lstm")
    assert convert_model_folder(folder, folder) == [
        ("width", "embedding_size"),
        ("hidden_width", "hidden_size"),
        ("n_layers", "num_hidden_layers"),
        ("tie_embeddings", "tie_word_embeddings"),
    ]
    assert read_description(folder).model.family == "lstm"
    assert [path.name for path in tmp_path.iterdir()] == ["lstm"]


def test_values_and_nested_sections_are_renamed_as_well(tmp_path: Path) -> None:
    assert ("hidden_act: relu_squared", "hidden_act: relu2") in convert_model_folder(
        LAST_RELEASE / "gpt", tmp_path / "gpt"
    )
    assert convert_model_folder(LAST_RELEASE / "encoder_decoder", tmp_path / "encoder_decoder")[-2:] == [
        ("corruption.share", "corruption.noise_density"),
        ("corruption.mean_span_tokens", "corruption.mean_noise_span_length"),
    ]


def test_what_cannot_be_converted_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    folder = shutil.copytree(LAST_RELEASE / "gpt", tmp_path / "gpt")
    converted = tmp_path / "converted"
    convert_model_folder(folder, converted)
    with pytest.raises(UserError, match="exists: choose a new folder"):
        convert_model_folder(folder, converted)
    with pytest.raises(UserError, match="is in format 2 already: there is nothing to convert"):
        convert_model_folder(converted, tmp_path / "again")
    (folder / "weights.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"weights\.safetensors was damaged or altered"):
        convert_model_folder(folder, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_separator_becomes_a_template_that_gives_the_same_prompts(tmp_path: Path) -> None:
    old = json.loads((LAST_RELEASE / "completion" / "config.json").read_text())["prompt_format"]
    convert_model_folder(LAST_RELEASE / "completion", tmp_path / "completion")
    prompt_format = read_description(tmp_path / "completion").prompt_format
    _, tokenizer = load_language_model(tmp_path / "completion")
    assert prompt_format is not None
    for text in ("", "a fox", "a fox jump over the lazy dog", "{{ text }}"):
        kept = tokenizer.encode(text)[: old["max_prompt_tokens"]]
        assert encode_prompt(tokenizer, text, prompt_format) == [0, *kept, *tokenizer.encode(old["separator"])]


def test_a_separator_with_braces_is_no_template(tmp_path: Path) -> None:
    folder = shutil.copytree(LAST_RELEASE / "completion", tmp_path / "completion")
    config = json.loads((folder / "config.json").read_text())
    config["prompt_format"]["separator"] = "{{ fox }}"
    (folder / "config.json").write_text(json.dumps(config))
    write_sums(folder)
    convert_model_folder(folder, folder)
    prompt_format = read_description(folder).prompt_format
    assert prompt_format is not None
    assert prompt_format.fields == ("text",)
    assert render_template(prompt_format.template, {"text": "a"}) == "a{{ fox }}"
