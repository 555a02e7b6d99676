"""GPT-2: the same numbers as the reference implementation, both ways, and the promises of every causal model."""

import json
from pathlib import Path

import pytest
import tokenizers
import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel
from torch.utils.flop_counter import FlopCounterMode

from lmcore.config.models import GPT2Config
from lmcore.config.tokenize import BytePairConfig
from lmcore.generation import generate
from lmcore.models.folder import save_language_model
from lmcore.models.gpt2.model import GPT2
from lmcore.models.huggingface import export_gpt2, import_gpt2
from lmcore.tokens.tokenizer.training import train_tokenizer
from lmcore.tokens.tokenizer.vocabulary import END_OF_TEXT, MASK, PADDING
from tests.lmcore.generation.toy_models import settings

TEXTS = ["The quick brown fox jumps over the lazy dog.\n    return self.value", "Ein schöner Tag , don 't ."] * 20
TOKENIZER = train_tokenizer(TEXTS, BytePairConfig(kind="byte_pair", vocabulary_size=280))
VOCABULARY = TOKENIZER.vocabulary
CONFIG = GPT2Config(
    family="gpt2", hidden_size=16, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=12, dropout=0.0
)


def make_model(**changes: object) -> GPT2:
    """A small model with perturbed weights, so that biases have an effect."""
    torch.manual_seed(0)
    model = GPT2(CONFIG.model_copy(update=changes), VOCABULARY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model.eval()


def draw_tokens(*shape: int) -> torch.Tensor:
    return torch.randint(VOCABULARY.size, shape, generator=torch.Generator().manual_seed(1))


def make_reference(folder: Path, vocabulary_size: int = VOCABULARY.size) -> transformers.GPT2LMHeadModel:
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
def test_imported_weights_give_the_logits_of_the_reference(tmp_path: Path) -> None:
    reference, tokens = make_reference(tmp_path), draw_tokens(3, 12)
    TOKENIZER.save(tmp_path / "tokenizer.json")
    model, tokenizer = import_gpt2(tmp_path)
    torch.testing.assert_close(model(tokens), reference(tokens).logits, rtol=0, atol=1e-5)
    assert tokenizer.encode(TEXTS[0]) == TOKENIZER.encode(TEXTS[0])
    assert model.config.model_copy(update={"dropout": 0.0}) == CONFIG


@torch.no_grad()
def test_an_exported_model_gives_the_same_logits_in_the_reference(tmp_path: Path) -> None:
    model, tokens = make_model(), draw_tokens(3, 12)
    export_gpt2(model, TOKENIZER, tmp_path / "exported")
    reference = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "exported")
    assert isinstance(reference, transformers.GPT2LMHeadModel)
    torch.testing.assert_close(reference(tokens).logits, model(tokens), rtol=0, atol=1e-5)


def test_an_exported_tokenizer_gives_the_same_tokens_in_the_reference(tmp_path: Path) -> None:
    export_gpt2(make_model(), TOKENIZER, tmp_path / "exported")
    reference = transformers.AutoTokenizer.from_pretrained(tmp_path / "exported")
    for text in (*TEXTS[:2], "", "  two  spaces ", "🏳️‍🌈", f"not the end: {END_OF_TEXT}"):
        assert reference(text)["input_ids"] == TOKENIZER.encode(text)
        assert reference.decode(TOKENIZER.encode(text)) == text
    assert reference.eos_token_id == reference.bos_token_id == VOCABULARY.end_of_text_id
    assert (reference.pad_token_id, reference.mask_token_id) == (VOCABULARY.padding_id, VOCABULARY.mask_id)


@torch.no_grad()
def test_an_exported_model_is_imported_again_bit_for_bit(tmp_path: Path) -> None:
    model = make_model(dropout=0.25)
    export_gpt2(model, TOKENIZER, tmp_path / "exported")
    again, tokenizer = import_gpt2(tmp_path / "exported")
    assert again.config == model.config
    assert again.vocabulary == tokenizer.vocabulary == VOCABULARY
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in model.state_dict().items())


@torch.no_grad()
def test_tokens_that_the_published_tokenizer_lacks_are_appended_and_hardly_ever_likely(tmp_path: Path) -> None:
    reference = make_reference(tmp_path, vocabulary_size=257)
    alphabet = transformers.GPT2Tokenizer(
        vocab={character: index for index, character in enumerate([*sorted(ByteLevel.alphabet()), END_OF_TEXT])},
        merges=[],
    )
    alphabet.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    model, tokenizer = import_gpt2(tmp_path)
    tokens = draw_tokens(3, 12) % 257
    assert tokenizer.vocabulary.size == 259
    torch.testing.assert_close(model(tokens)[..., :257], reference(tokens).logits, rtol=0, atol=1e-5)
    assert (model(tokens).softmax(dim=-1)[..., 257:] < 1 / 257).all()


@torch.no_grad()
def test_rows_after_the_last_token_are_not_taken_for_appended_ones(tmp_path: Path) -> None:
    reference = make_reference(tmp_path, vocabulary_size=VOCABULARY.size + 40)
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
    reference, tokens = make_reference(tmp_path / "one"), draw_tokens(3, 12)
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
    reference = make_reference(tmp_path)
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
def test_what_is_no_such_model_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    reference = make_reference(tmp_path)
    reference.config.update(change)
    reference.config.save_pretrained(tmp_path)
    TOKENIZER.save(tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match=message):
        import_gpt2(tmp_path)


def test_a_folder_of_this_project_is_no_folder_of_the_reference(tmp_path: Path) -> None:
    save_language_model(tmp_path / "model", make_model(), TOKENIZER, {})
    with pytest.raises(ValueError, match="has no model_type"):
        import_gpt2(tmp_path / "model")


@torch.no_grad()
def test_prompts_of_different_length_are_gone_on_from_as_by_the_reference(tmp_path: Path) -> None:
    model = make_model()
    export_gpt2(model, TOKENIZER, tmp_path / "exported")
    reference = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "exported")
    prompts = [draw_tokens(9)[:length].tolist() for length in (6, 1, 3)]
    config = settings(max_new_tokens=6)
    for prompt, completion in zip(prompts, generate(model, prompts, config), strict=True):
        tokens = torch.tensor([prompt])
        expected = reference.generate(
            tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=6, do_sample=False
        )[0, len(prompt) :].tolist()
        assert [*completion, VOCABULARY.end_of_text_id][: len(expected)] == expected


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    make_reference(tmp_path, vocabulary_size=VOCABULARY.size - 3)
    TOKENIZER.save(tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match="the tokenizer has 280 tokens, but the model has embeddings of 277"):
        import_gpt2(tmp_path)


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    make_reference(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json is missing"):
        import_gpt2(tmp_path)


@torch.no_grad()
def test_cached_logits_equal_those_of_the_whole_sequence() -> None:
    model, tokens = make_model(), draw_tokens(3, 12)
    state = model.new_state(3)
    parts = [model(part, state=state) for part in tokens.split([5, 1, 4, 1, 1], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_left_padded_sequences_are_read_as_if_alone() -> None:
    model, tokens = make_model(), draw_tokens(3, 10)
    lengths = [10, 3, 7]
    mask = torch.arange(10) >= 10 - torch.tensor(lengths)[:, None]
    whole = model(tokens, mask=mask)
    state = model.new_state(3)
    parts = [model(tokens[:, :8], mask=mask[:, :8], state=state), model(tokens[:, 8:9], mask=mask[:, :9], state=state)]
    parts.append(model(tokens[:, 9:], mask=mask, state=state))
    for row, length in enumerate(lengths):
        alone = model(tokens[row : row + 1, -length:])[0]
        torch.testing.assert_close(whole[row, -length:], alone, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(torch.cat(parts, dim=1)[row, -length:], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_selected_rows_of_a_state_go_on_as_they_were() -> None:
    model, tokens = make_model(), draw_tokens(3, 6)
    state = model.new_state(3)
    model(tokens[:, :5], state=state)
    rows = torch.tensor([2, 0, 2, 1])
    state.select(rows)
    torch.testing.assert_close(
        model.next_logits(tokens[rows, 5:], state=state), model.next_logits(tokens)[rows], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_loss_is_the_cross_entropy_of_the_logits(label_smoothing: float) -> None:
    model, tokens = make_model(), draw_tokens(2, 12)
    targets = draw_tokens(2, 12).roll(1)
    targets[0, :4] = -100
    expected = torch.nn.functional.cross_entropy(
        model(tokens).transpose(1, 2), targets, reduction="sum", label_smoothing=label_smoothing
    )
    torch.testing.assert_close(
        model.loss(tokens, targets, label_smoothing=label_smoothing), expected, rtol=1e-4, atol=1e-4
    )


def test_an_untrained_model_knows_nothing() -> None:
    torch.manual_seed(0)
    model, tokens = GPT2(CONFIG, VOCABULARY), draw_tokens(4, 12)
    loss = model.loss(tokens, tokens.roll(-1, 1)) / tokens.numel()
    assert loss.item() == pytest.approx(torch.tensor(float(VOCABULARY.size)).log().item(), abs=0.1)


def test_activations_in_bfloat16_come_close() -> None:
    model, tokens = make_model(), draw_tokens(2, 12)
    accurate = model.loss(tokens, tokens.roll(-1, 1))
    model.compute_in(torch.bfloat16)
    assert model.new_state(1).keys[0].dtype == torch.bfloat16
    rough = model.loss(tokens, tokens.roll(-1, 1))
    rough.backward()
    torch.testing.assert_close(rough, accurate, rtol=0.02, atol=0)
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())


def test_too_long_a_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="13 tokens do not fit the context of 12"):
        make_model()(draw_tokens(1, 13))


def test_the_operations_of_training_are_those_that_torch_counts() -> None:
    model, tokens = make_model(), draw_tokens(3, CONFIG.max_position_embeddings)
    with FlopCounterMode(display=False) as counter:
        model.loss(tokens, tokens.roll(-1, 1)).backward()
    # What is computed and thrown away, attention's look into the future, is not needed for training.
    future = 6 * CONFIG.num_hidden_layers * CONFIG.hidden_size * CONFIG.max_position_embeddings
    assert counter.get_total_flops() / tokens.numel() == model.flops_per_token() + future
