"""BERT gives the same numbers as the reference implementation, with any padding."""

from pathlib import Path

import pytest
import torch
import transformers
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lmcore.config.models import BERTConfig, MaskingConfig
from lmcore.models.bert.model import BERT
from lmcore.models.huggingface import import_bert
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

VOCABULARY = Vocabulary(size=23, end_of_text_id=0, padding_id=1, mask_id=2)
MASKING = MaskingConfig(mlm_probability=0.25, use_whole_words=False)
CONFIG = BERTConfig(
    family="bert",
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=40,
    max_position_embeddings=12,
    dropout=0.0,
    masking=MASKING,
)


def make_model(**changes: object) -> BERT:
    """A small model with perturbed weights, so that biases have an effect."""
    torch.manual_seed(0)
    model = BERT(CONFIG.model_copy(update=changes), VOCABULARY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model.eval()


def draw_tokens(*shape: int) -> torch.Tensor:
    """Tokens of text."""
    return torch.randint(3, VOCABULARY.size, shape, generator=torch.Generator().manual_seed(1))


def make_reference(folder: Path, **changes: object) -> transformers.BertForMaskedLM:
    """A model of the reference implementation, saved to ``folder``."""
    torch.manual_seed(2)
    shape = {
        "vocab_size": VOCABULARY.size,
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
def test_imported_weights_give_the_logits_of_the_reference(tmp_path: Path) -> None:
    reference, tokens = make_reference(tmp_path), draw_tokens(3, 12)
    model = import_bert(tmp_path, VOCABULARY, MASKING)
    assert model.config.model_copy(update={"dropout": 0.0}) == CONFIG
    torch.testing.assert_close(model(tokens), reference(tokens).logits, rtol=0, atol=1e-5)


@torch.no_grad()
def test_padded_sequences_have_the_logits_of_the_reference_and_those_without_padding(tmp_path: Path) -> None:
    reference, tokens = make_reference(tmp_path), draw_tokens(3, 12)
    model = import_bert(tmp_path, VOCABULARY, MASKING)
    is_text = torch.arange(12) < torch.tensor([12, 5, 8])[:, None]
    tokens = tokens.where(is_text, VOCABULARY.padding_id)
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
def test_what_is_no_such_model_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    make_reference(tmp_path, **change)
    with pytest.raises(ValueError, match=message):
        import_bert(tmp_path, VOCABULARY, MASKING)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_loss_is_the_cross_entropy_at_the_masked_positions(label_smoothing: float) -> None:
    model, tokens = make_model(), draw_tokens(2, 12)
    targets = torch.full_like(tokens, -100)
    targets[0, 3], targets[1, 5:7] = 4, torch.tensor([5, 6])
    tokens[0, 3], tokens[1, 8:] = VOCABULARY.mask_id, VOCABULARY.padding_id
    expected = torch.nn.functional.cross_entropy(
        model(tokens).transpose(1, 2), targets, reduction="sum", label_smoothing=label_smoothing
    )
    loss = model.loss(tokens, targets, label_smoothing=label_smoothing)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)


def test_a_position_sees_both_sides() -> None:
    model, tokens = make_model(), draw_tokens(1, 12)
    for changed in (2, 9):
        other = tokens.clone()
        other[0, changed] = (other[0, changed] - 2) % 20 + 3
        assert not torch.allclose(model(tokens)[0, 5], model(other)[0, 5])


def test_an_untrained_model_knows_nothing() -> None:
    torch.manual_seed(0)
    model, tokens = BERT(CONFIG, VOCABULARY), draw_tokens(4, 12)
    loss = model.loss(tokens, tokens) / tokens.numel()
    assert loss.item() == pytest.approx(torch.tensor(float(VOCABULARY.size)).log().item(), abs=0.1)


def test_activations_in_bfloat16_come_close() -> None:
    model, tokens = make_model(), draw_tokens(2, 12)
    accurate = model.loss(tokens, tokens)
    model.compute_in(torch.bfloat16)
    rough = model.loss(tokens, tokens)
    rough.backward()
    assert model.features(tokens, tokens > 0).dtype == torch.bfloat16
    torch.testing.assert_close(rough, accurate, rtol=0.02, atol=0)
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())


def test_too_long_a_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="13 tokens do not fit the context of 12"):
        make_model()(draw_tokens(1, 13))


def test_the_operations_of_training_are_those_that_torch_counts() -> None:
    model, tokens = make_model(), draw_tokens(3, 12)
    targets = tokens.where(torch.arange(12) % 4 == 0, -100)
    # Only the plain kernel is made of products that are counted one by one.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.loss(tokens, targets).backward()
    assert counter.get_total_flops() / tokens.numel() == model.flops_per_token()
