"""BERT predicts masked tokens from both sides."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lmcore.config.families import MaskingConfig
from lmcore.config.published_models import BERTConfig
from lmcore.models.bert.model import BERT
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
