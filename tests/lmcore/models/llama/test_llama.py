"""Llama: read in parts, left-padded, in training and in bfloat16, it is the same model."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lmcore.config.published_models import Llama3RopeScaling
from lmcore.models.llama.model import Llama
from tests.lmcore.models.small_models import CONFIGS, VOCABULARY, draw_tokens, make_model

SCALING = Llama3RopeScaling(
    rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8
)
VARIANTS: list[dict[str, Any]] = [
    {},
    {"use_qk_norm": False, "attention_bias": False, "tie_word_embeddings": True, "rope_scaling": SCALING},
    {"attention_output_bias": True, "num_key_value_heads": 4},
]


def make(**changes: Any) -> Llama:
    model = make_model("llama", **changes)
    assert isinstance(model, Llama)
    return model


@pytest.mark.parametrize("changes", VARIANTS)
@torch.no_grad()
def test_cached_logits_equal_those_of_the_whole_sequence(changes: dict[str, Any]) -> None:
    model, tokens = make(**changes), draw_tokens(3, 12)
    state = model.new_state(3)
    parts = [model(part, state=state) for part in tokens.split([5, 1, 4, 1, 1], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_left_padded_sequences_are_read_as_if_alone() -> None:
    model, tokens = make(), draw_tokens(3, 10)
    lengths = [10, 3, 7]
    mask = torch.arange(10) >= 10 - torch.tensor(lengths)[:, None]
    state = model.new_state(3)
    parts = [model(tokens[:, :8], mask=mask[:, :8], state=state), model(tokens[:, 8:], mask=mask, state=state)]
    for row, length in enumerate(lengths):
        alone = model(tokens[row : row + 1, -length:])[0]
        torch.testing.assert_close(torch.cat(parts, dim=1)[row, -length:], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_later_tokens_leave_earlier_predictions_unchanged() -> None:
    model, tokens = make(), draw_tokens(1, 12)
    other = tokens.clone()
    other[:, 6:] = other[:, 6:].roll(1, 1)
    assert torch.equal(model(tokens)[:, :6], model(other)[:, :6])


def test_loss_is_the_cross_entropy_of_the_logits() -> None:
    model, tokens, targets = make(), draw_tokens(2, 12), draw_tokens(2, 12).roll(1)
    targets[0, :4] = -100
    expected = torch.nn.functional.cross_entropy(model(tokens).transpose(1, 2), targets, reduction="sum")
    torch.testing.assert_close(model.loss(tokens, targets), expected, rtol=1e-4, atol=1e-4)


def test_an_untrained_model_knows_nothing() -> None:
    torch.manual_seed(0)
    model, tokens = Llama(CONFIGS["llama"], VOCABULARY), draw_tokens(4, 12)
    loss = model.loss(tokens, tokens.roll(-1, 1)) / tokens.numel()
    assert loss.item() == pytest.approx(torch.tensor(float(VOCABULARY.size)).log().item(), abs=0.1)


def test_attention_has_dropout_in_training_alone() -> None:
    model, tokens = make(attention_dropout=0.5), draw_tokens(2, 12)
    assert torch.equal(model(tokens), make()(tokens))
    assert not torch.allclose(model.train()(tokens), model(tokens), atol=1e-3)


def test_activations_in_bfloat16_come_close() -> None:
    model, tokens = make(), draw_tokens(2, 12)
    accurate = model.loss(tokens, tokens.roll(-1, 1))
    model.compute_in(torch.bfloat16)
    assert model.new_state(1).keys[0].dtype == torch.bfloat16
    rough = model.loss(tokens, tokens.roll(-1, 1))
    rough.backward()
    torch.testing.assert_close(rough, accurate, rtol=0.02, atol=0)
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())


def test_too_long_a_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="13 tokens do not fit the context of 12"):
        make()(draw_tokens(1, 13))


def test_the_operations_of_training_are_those_that_torch_counts() -> None:
    config = CONFIGS["llama"]
    model, tokens = make(), draw_tokens(3, config.max_position_embeddings)
    with FlopCounterMode(display=False) as counter:
        model.loss(tokens, tokens.roll(-1, 1)).backward()
    # What is computed and thrown away, attention's look into the future, is not needed for training.
    future = 6 * config.num_hidden_layers * model.attention_size * config.max_position_embeddings
    assert counter.get_total_flops() / tokens.numel() == model.flops_per_token() + future
