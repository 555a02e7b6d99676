"""Folders of ``transformers`` give the same numbers and tokens here, and exported folders give them there."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from lmcore.generation import generate
from lmcore.generation.generator import Generator
from lmcore.models.families import build_model
from lmcore.models.folder import load_language_model, save_language_model
from lmcore.models.generative import GenerativeModel
from lmcore.models.huggingface.folder import export_model, import_model
from lmcore.models.model import Model
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from tests.lmcore.generation.toy_models import settings
from tests.lmcore.models.gpt2.test_gpt2 import TOKENIZER
from tests.lmcore.models.huggingface.references import REFERENCES, SENTENCES, save_reference
from tests.lmcore.models.lstm.test_lstm import CONFIG as LSTM

references = pytest.mark.parametrize("name", REFERENCES)
GENERATIVE = [name for name in REFERENCES if name != "bert"]


def draw_tokens(model: Model, *shape: int) -> torch.Tensor:
    """Tokens other than padding, which encoders do not read."""
    tokens = torch.randint(3, model.vocabulary.size - 3, shape, generator=torch.Generator().manual_seed(1))
    return tokens.where(tokens != model.vocabulary.padding_id, 3)


def logits_of(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    return model.target_logits(tokens, tokens) if model.config.reads_source else model(tokens)


def reference_logits(reference: Any, tokens: torch.Tensor) -> torch.Tensor:
    if reference.config.is_encoder_decoder:
        return reference(input_ids=tokens, labels=tokens).logits
    return reference(tokens).logits


@references
@torch.no_grad()
def test_imported_weights_give_the_logits_of_the_reference(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    reference = save_reference(tmp_path, name)
    model, _ = import_model(tmp_path)
    assert "left out" not in caplog.text
    tokens = draw_tokens(model, 3, 50)
    expected = reference_logits(reference, tokens)
    assert expected.std() > 0.1
    torch.testing.assert_close(logits_of(model, tokens)[..., : expected.size(-1)], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", GENERATIVE)
@torch.no_grad()
def test_greedy_generation_is_that_of_the_reference(tmp_path: Path, name: str) -> None:
    reference = save_reference(tmp_path, name)
    model, tokenizer = import_model(tmp_path)
    assert isinstance(model, GenerativeModel)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    end = tokenizer.vocabulary.end_of_text_id
    prompts = ["The quick", "don't", "Ein schöner Tag, return"]
    encoded = [model.framed(tokenizer.encode(prompt)) for prompt in prompts]
    answers = generate(model, encoded, settings(max_new_tokens=12))
    for prompt, tokens, answer in zip(prompts, encoded, answers, strict=True):
        read = theirs(prompt, return_tensors="pt").input_ids
        if theirs.bos_token_id is None and not model.reads_source:
            # What has no token for the start continues after the end of another document.
            read = torch.cat((torch.tensor([[end]]), read), dim=1)
        assert read[0].tolist() == tokens
        written = reference.generate(
            input_ids=read, attention_mask=torch.ones_like(read), max_new_tokens=12, do_sample=False, pad_token_id=0
        )[0, 1 if model.reads_source else read.size(1) :].tolist()
        assert [*answer, end][: len(written)] == written


@pytest.mark.parametrize("name", [name for name in GENERATIVE if not name.startswith("t5")])
@torch.no_grad()
def test_a_text_is_scored_after_the_token_that_starts_a_document(tmp_path: Path, name: str) -> None:
    reference = save_reference(tmp_path, name)
    model, tokenizer = import_model(tmp_path)
    assert isinstance(model, GenerativeModel)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    tokens = theirs("Ein schöner Tag", add_special_tokens=False).input_ids
    start = theirs.eos_token_id if theirs.bos_token_id is None else theirs.bos_token_id
    logits = reference(torch.tensor([[start, *tokens]])).logits[0, :-1]
    expected = logits.log_softmax(dim=-1).gather(1, torch.tensor(tokens)[:, None]).squeeze(1)
    # The logits of the appended tokens are the mean of all others, and take a little of the probability.
    n_appended = model.vocabulary.size - logits.size(-1)
    shared = (logits.exp().sum(dim=-1) / (logits.exp().sum(dim=-1) + n_appended * logits.mean(dim=-1).exp())).log()
    found = torch.tensor(model.token_log_probabilities(tokenizer.encode("Ein schöner Tag")))
    torch.testing.assert_close(found, expected + shared, rtol=0, atol=1e-4)


@references
def test_the_tokenizer_encodes_and_decodes_as_that_of_the_reference(tmp_path: Path, name: str) -> None:
    save_reference(tmp_path, name)
    _, tokenizer = import_model(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in SENTENCES:
        tokens = theirs(text, add_special_tokens=False).input_ids
        assert tokenizer.encode(text) == tokens
        assert tokenizer.decode(tokens) == theirs.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )


@references
def test_no_text_becomes_a_special_token(tmp_path: Path, name: str) -> None:
    save_reference(tmp_path, name)
    _, tokenizer = import_model(tmp_path)
    unknown = {tokenizer.unknown_id}
    for identity in set(tokenizer.vocabulary.special_ids) - unknown:
        special = tokenizer.name_of(identity)
        for text in (special, f"a {special} b", f"a{special}b"):
            assert not {identity} & set(tokenizer.encode(text))


@references
@torch.no_grad()
def test_what_is_exported_has_the_same_logits_and_comes_back_bit_for_bit(tmp_path: Path, name: str) -> None:
    save_reference(tmp_path / "theirs", name)
    model, tokenizer = import_model(tmp_path / "theirs")
    export_model(model, tokenizer, tmp_path / "exported")
    reference = REFERENCES[name][1].from_pretrained(tmp_path / "exported")
    tokens = draw_tokens(model, 3, 50)
    torch.testing.assert_close(reference_logits(reference, tokens), logits_of(model, tokens), rtol=0, atol=1e-5)
    again, tokenizer_again = import_model(tmp_path / "exported")
    assert again.config == model.config
    assert again.vocabulary == model.vocabulary
    assert all(torch.equal(weight, again.state_dict()[key]) for key, weight in model.state_dict().items())
    theirs, exported = (
        transformers.AutoTokenizer.from_pretrained(tmp_path / folder) for folder in ("theirs", "exported")
    )
    for text in SENTENCES:
        assert tokenizer_again.encode(text) == tokenizer.encode(text)
        assert exported(text).input_ids == theirs(text).input_ids


@references
def test_an_own_folder_keeps_the_tokenizer_as_it_is(tmp_path: Path, name: str) -> None:
    """So that tokens made with ``tokenizer.json`` of either folder fit the model."""
    save_reference(tmp_path / "theirs", name)
    model, tokenizer = import_model(tmp_path / "theirs")
    save_language_model(tmp_path / "own", model, tokenizer, {})
    _, loaded = load_language_model(tmp_path / "own")
    adopted = Tokenizer.adopt(tmp_path / "own" / "tokenizer.json")
    assert loaded.vocabulary == adopted.vocabulary == tokenizer.vocabulary
    assert loaded.to_json() == adopted.to_json() == tokenizer.to_json()


@pytest.mark.parametrize("name", GENERATIVE)
def test_a_completion_begins_with_the_space_that_the_model_wrote(tmp_path: Path, name: str) -> None:
    save_reference(tmp_path, name)
    model, tokenizer = import_model(tmp_path)
    assert isinstance(model, GenerativeModel)
    whole = tokenizer.encode("The quick fox")
    for end in range(1, len(whole)):
        assert tokenizer.decode(whole[:end]) + tokenizer.decode_continuation(whole[end:]) == "The quick fox"
    generator = Generator(model, tokenizer)
    (streamed,) = ["".join(generator.stream("The quick", settings(max_new_tokens=8)))]
    assert streamed == generator.complete(["The quick"], settings(max_new_tokens=8))[0].text


@pytest.mark.parametrize("name", ["llama 2", "t5 1.1", "bert"])
@torch.no_grad()
def test_rows_of_the_vocabulary_without_a_token_are_left_out(tmp_path: Path, name: str) -> None:
    reference = save_reference(tmp_path, name, extra_rows=40)
    model, tokenizer = import_model(tmp_path)
    tokens = draw_tokens(model, 2, 20) % (tokenizer.n_own_tokens - 3) + 3
    expected = reference_logits(reference, tokens)[..., : tokenizer.n_own_tokens]
    torch.testing.assert_close(logits_of(model, tokens)[..., : expected.size(-1)], expected, rtol=0, atol=1e-5)
    assert model.vocabulary.size < expected.size(-1) + 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@torch.no_grad()
def test_half_precision_and_several_files_are_read(tmp_path: Path, dtype: torch.dtype) -> None:
    reference = save_reference(tmp_path, "llama 3").to(dtype)
    (tmp_path / "model.safetensors").unlink()
    reference.save_pretrained(tmp_path, max_shard_size="5KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    model, _ = import_model(tmp_path)
    tokens = draw_tokens(model, 2, 20)
    expected = REFERENCES["llama 3"][1].from_pretrained(tmp_path, dtype=torch.float32)(tokens).logits
    torch.testing.assert_close(logits_of(model, tokens)[..., : expected.size(-1)], expected, rtol=0, atol=1e-5)


def test_a_folder_that_is_damaged_or_incomplete_is_named(tmp_path: Path) -> None:
    save_reference(tmp_path, "llama 2")
    weights, tokenizer = tmp_path / "model.safetensors", tmp_path / "tokenizer.json"
    content = weights.read_bytes()
    weights.write_bytes(content[:-10])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        import_model(tmp_path)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors is missing"):
        import_model(tmp_path)
    weights.write_bytes(content)
    tokenizer.write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json is not a tokenizer file"):
        import_model(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON"):
        import_model(tmp_path)


def test_weights_that_the_configuration_does_not_know_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_reference(tmp_path, "llama with linear scaling", attention_bias=True)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"attention_bias": False}))
    import_model(tmp_path)
    assert "has 8 weights that a model with these settings does not have, such as model.layers.0." in caplog.text


def test_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    reference = save_reference(tmp_path, "llama 2")
    with torch.no_grad():
        reference.model.norm.weight[3] = torch.nan
    reference.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"model\.safetensors has values that are not finite in model\.norm\.weight"):
        import_model(tmp_path)


def test_an_unknown_architecture_and_a_folder_of_this_project_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    with pytest.raises(ValueError, match="has model_type 'mamba', expected one of gpt2, bert, llama, mistral"):
        import_model(tmp_path)
    (tmp_path / "config.json").write_text('{"version": 2}')
    with pytest.raises(ValueError, match="has no model_type"):
        import_model(tmp_path)


def test_a_family_that_transformers_does_not_have_is_named(tmp_path: Path) -> None:
    model = build_model(LSTM, TOKENIZER.vocabulary)
    with pytest.raises(ValueError, match=r"family lstm cannot be exported to Hugging Face, .*: only gpt, gpt2, "):
        export_model(model, TOKENIZER, tmp_path / "exported")
