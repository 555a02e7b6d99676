"""Models of ``transformers`` give the same numbers here, and exported models give them there."""

import json
from pathlib import Path

import pytest
import tokenizers
import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel

from lmcore.generation import generate
from lmcore.models.folder import save_language_model
from lmcore.models.huggingface import export_bert, export_gpt2, import_bert, import_gpt2
from lmcore.tokens.tokenizer.vocabulary import END_OF_TEXT, MASK, PADDING
from tests.lmcore.generation.toy_models import settings
from tests.lmcore.models.bert.test_bert import CONFIG as BERT_CONFIG
from tests.lmcore.models.bert.test_bert import MASKING
from tests.lmcore.models.bert.test_bert import VOCABULARY as BERT_VOCABULARY
from tests.lmcore.models.bert.test_bert import draw_tokens as draw_bert_tokens
from tests.lmcore.models.bert.test_bert import make_model as make_bert
from tests.lmcore.models.gpt2.test_gpt2 import CONFIG as GPT2_CONFIG
from tests.lmcore.models.gpt2.test_gpt2 import TEXTS, TOKENIZER, VOCABULARY
from tests.lmcore.models.gpt2.test_gpt2 import draw_tokens as draw_gpt2_tokens
from tests.lmcore.models.gpt2.test_gpt2 import make_model as make_gpt2


def make_gpt2_reference(folder: Path, vocabulary_size: int = VOCABULARY.size) -> transformers.GPT2LMHeadModel:
    """A model of the reference implementation, saved to ``folder`` without a tokenizer."""
    torch.manual_seed(2)
    config = transformers.GPT2Config(
        vocab_size=vocabulary_size, n_embd=16, n_layer=2, n_head=2, n_positions=12, bos_token_id=0, eos_token_id=0
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    model.save_pretrained(folder)
    return model


@torch.no_grad()
def test_imported_weights_of_gpt2_give_the_logits_of_the_reference(tmp_path: Path) -> None:
    reference, tokens = make_gpt2_reference(tmp_path), draw_gpt2_tokens(3, 12)
    TOKENIZER.save(tmp_path / "tokenizer.json")
    model, tokenizer = import_gpt2(tmp_path)
    torch.testing.assert_close(model(tokens), reference(tokens).logits, rtol=0, atol=1e-5)
    assert tokenizer.encode(TEXTS[0]) == TOKENIZER.encode(TEXTS[0])
    assert model.config.model_copy(update={"dropout": 0.0}) == GPT2_CONFIG


@torch.no_grad()
def test_an_exported_model_gives_the_same_logits_in_the_reference(tmp_path: Path) -> None:
    model, tokens = make_gpt2(), draw_gpt2_tokens(3, 12)
    export_gpt2(model, TOKENIZER, tmp_path / "exported")
    reference = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "exported")
    assert isinstance(reference, transformers.GPT2LMHeadModel)
    torch.testing.assert_close(reference(tokens).logits, model(tokens), rtol=0, atol=1e-5)


def test_an_exported_tokenizer_gives_the_same_tokens_in_the_reference(tmp_path: Path) -> None:
    export_gpt2(make_gpt2(), TOKENIZER, tmp_path / "exported")
    reference = transformers.AutoTokenizer.from_pretrained(tmp_path / "exported")
    for text in (*TEXTS[:2], "", "  two  spaces ", "🏳️‍🌈", f"not the end: {END_OF_TEXT}"):
        assert reference(text)["input_ids"] == TOKENIZER.encode(text)
        assert reference.decode(TOKENIZER.encode(text)) == text
    assert reference.eos_token_id == reference.bos_token_id == VOCABULARY.end_of_text_id
    assert (reference.pad_token_id, reference.mask_token_id) == (VOCABULARY.padding_id, VOCABULARY.mask_id)


@torch.no_grad()
def test_an_exported_model_is_imported_again_bit_for_bit(tmp_path: Path) -> None:
    model = make_gpt2(dropout=0.25)
    export_gpt2(model, TOKENIZER, tmp_path / "exported")
    again, tokenizer = import_gpt2(tmp_path / "exported")
    assert again.config == model.config
    assert again.vocabulary == tokenizer.vocabulary == VOCABULARY
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in model.state_dict().items())


@torch.no_grad()
def test_tokens_that_the_published_tokenizer_lacks_are_appended_and_hardly_ever_likely(tmp_path: Path) -> None:
    reference = make_gpt2_reference(tmp_path, vocabulary_size=257)
    alphabet = transformers.GPT2Tokenizer(
        vocab={character: index for index, character in enumerate([*sorted(ByteLevel.alphabet()), END_OF_TEXT])},
        merges=[],
    )
    alphabet.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    model, tokenizer = import_gpt2(tmp_path)
    tokens = draw_gpt2_tokens(3, 12) % 257
    assert tokenizer.vocabulary.size == 259
    torch.testing.assert_close(model(tokens)[..., :257], reference(tokens).logits, rtol=0, atol=1e-5)
    assert (model(tokens).softmax(dim=-1)[..., 257:] < 1 / 257).all()


@torch.no_grad()
def test_rows_after_the_last_token_are_not_taken_for_appended_ones(tmp_path: Path) -> None:
    reference = make_gpt2_reference(tmp_path, vocabulary_size=VOCABULARY.size + 40)
    backend = tokenizers.Tokenizer.from_str(TOKENIZER.to_json())
    described = json.loads(backend.to_str())
    appended = [PADDING, MASK]
    described["added_tokens"] = [token for token in described["added_tokens"] if token["content"] not in appended]
    for name in appended:
        described["model"]["vocab"][f"<unused{name}>"] = described["model"]["vocab"].pop(name)
    (tmp_path / "tokenizer.json").write_text(json.dumps(described))
    model, tokenizer = import_gpt2(tmp_path)
    n_own = VOCABULARY.size
    assert tokenizer.vocabulary.size == n_own + 2
    own = reference.transformer.wte.weight[:n_own]
    assert torch.equal(model.embedding.weight[:n_own], own)
    torch.testing.assert_close(model.embedding.weight[n_own:], own.mean(dim=0).expand(2, -1), rtol=0, atol=0)


@torch.no_grad()
def test_weights_in_several_files_and_another_name_of_the_activation_are_taken_over(tmp_path: Path) -> None:
    reference, tokens = make_gpt2_reference(tmp_path / "one"), draw_gpt2_tokens(3, 12)
    reference.config.activation_function = "gelu_pytorch_tanh"
    reference.save_pretrained(tmp_path / "several", max_shard_size="10KB")
    TOKENIZER.save(tmp_path / "several" / "tokenizer.json")
    assert not (tmp_path / "several" / "model.safetensors").exists()
    torch.testing.assert_close(
        import_gpt2(tmp_path / "several")[0](tokens), reference(tokens).logits, rtol=0, atol=1e-5
    )
    next((tmp_path / "several").glob("model-*.safetensors")).unlink()
    with pytest.raises(FileNotFoundError, match=r"model-.*safetensors is missing"):
        import_gpt2(tmp_path / "several")


def test_several_dropouts_become_one_and_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reference = make_gpt2_reference(tmp_path)
    TOKENIZER.save(tmp_path / "tokenizer.json")
    import_gpt2(tmp_path)
    assert "dropout" not in caplog.text
    reference.config.update({"resid_pdrop": 0.3, "attn_pdrop": 0.0, "embd_pdrop": 0.2})
    reference.config.save_pretrained(tmp_path)
    assert import_gpt2(tmp_path)[0].config.dropout == 0.3
    assert (
        "resid_pdrop 0.3, embd_pdrop 0.2, attn_pdrop 0; only one dropout rate is supported, 0.3 is used" in caplog.text
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation_function": "relu"}, "has activation_function 'relu'; only models with 'gelu_new'"),
        ({"n_inner": 20}, "has n_inner 20"),
        ({"n_positions": 13}, "does not fit its config.json"),
        ({"n_layer": 3}, r"has no weight h\.2\."),
    ],
)
def test_what_is_no_gpt2_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    reference = make_gpt2_reference(tmp_path)
    reference.config.update(change)
    reference.config.save_pretrained(tmp_path)
    TOKENIZER.save(tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match=message):
        import_gpt2(tmp_path)


def test_a_folder_of_this_project_is_no_folder_of_the_reference(tmp_path: Path) -> None:
    save_language_model(tmp_path / "model", make_gpt2(), TOKENIZER, {})
    with pytest.raises(ValueError, match="has no model_type"):
        import_gpt2(tmp_path / "model")


@torch.no_grad()
def test_prompts_of_different_length_are_continued_as_by_the_reference(tmp_path: Path) -> None:
    model = make_gpt2()
    export_gpt2(model, TOKENIZER, tmp_path / "exported")
    reference = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "exported")
    prompts = [draw_gpt2_tokens(9)[:length].tolist() for length in (6, 1, 3)]
    config = settings(max_new_tokens=6)
    for prompt, completion in zip(prompts, generate(model, prompts, config), strict=True):
        tokens = torch.tensor([prompt])
        expected = reference.generate(
            tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=6, do_sample=False
        )[0, len(prompt) :].tolist()
        assert [*completion, VOCABULARY.end_of_text_id][: len(expected)] == expected


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    make_gpt2_reference(tmp_path, vocabulary_size=VOCABULARY.size - 3)
    TOKENIZER.save(tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match="the tokenizer has 280 tokens, but the model has embeddings of 277"):
        import_gpt2(tmp_path)


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    make_gpt2_reference(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json is missing"):
        import_gpt2(tmp_path)


def make_bert_reference(folder: Path, **changes: object) -> transformers.BertForMaskedLM:
    """A model of the reference implementation, saved to ``folder``."""
    torch.manual_seed(2)
    shape = {
        "vocab_size": BERT_VOCABULARY.size,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 40,
        "max_position_embeddings": 12,
        "pad_token_id": 1,
    }
    model = transformers.BertForMaskedLM(transformers.BertConfig(**shape | changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    model.save_pretrained(folder)
    return model


@torch.no_grad()
def test_imported_weights_of_bert_give_the_logits_of_the_reference(tmp_path: Path) -> None:
    reference, tokens = make_bert_reference(tmp_path), draw_bert_tokens(3, 12)
    model = import_bert(tmp_path, BERT_VOCABULARY, MASKING)
    assert model.config.model_copy(update={"dropout": 0.0}) == BERT_CONFIG
    torch.testing.assert_close(model(tokens), reference(tokens).logits, rtol=0, atol=1e-5)


@torch.no_grad()
def test_padded_sequences_of_bert_have_the_logits_of_the_reference_and_those_without_padding(tmp_path: Path) -> None:
    reference, tokens = make_bert_reference(tmp_path), draw_bert_tokens(3, 12)
    model = import_bert(tmp_path, BERT_VOCABULARY, MASKING)
    is_text = torch.arange(12) < torch.tensor([12, 5, 8])[:, None]
    tokens = tokens.where(is_text, BERT_VOCABULARY.padding_id)
    logits = model(tokens)
    expected = reference(tokens, attention_mask=is_text.long()).logits
    torch.testing.assert_close(logits[is_text], expected[is_text], rtol=0, atol=1e-5)
    torch.testing.assert_close(logits[1, :5], model(tokens[1:2, :5])[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "relu"}, "has hidden_act 'relu'; only models with 'gelu'"),
        ({"vocab_size": 24}, "has 24 tokens, but the vocabulary has 23"),
    ],
)
def test_what_is_no_bert_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    make_bert_reference(tmp_path, **change)
    with pytest.raises(ValueError, match=message):
        import_bert(tmp_path, BERT_VOCABULARY, MASKING)


@torch.no_grad()
def test_an_exported_bert_gives_the_same_logits_in_the_reference_and_is_imported_again(tmp_path: Path) -> None:
    model, tokens = make_bert(dropout=0.25), draw_bert_tokens(3, 12)
    export_bert(model, TOKENIZER, tmp_path / "exported")
    reference = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "exported")
    torch.testing.assert_close(reference(tokens).logits, model(tokens), rtol=0, atol=1e-5)
    again = import_bert(tmp_path / "exported", BERT_VOCABULARY, MASKING)
    assert again.config == model.config
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in model.state_dict().items())
