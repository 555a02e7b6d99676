"""Llama: read in parts, left-padded, in training and in bfloat16, it is the same model."""

from typing import Any

import pytest
import torch

from lmcore.config.published_models import Llama3RopeScaling
from lmcore.models.llama.model import Llama
from tests.lmcore.models.causal_checks import (
    LENGTH,
    check_that_bfloat16_comes_close,
    check_that_it_knows_nothing,
    check_that_left_padded_sequences_are_read_as_if_alone,
    check_that_loss_is_the_cross_entropy_of_the_logits,
    check_that_operations_are_those_that_torch_counts,
    check_that_parts_have_the_logits_of_the_whole,
    check_that_selected_rows_of_a_state_go_on,
)
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
def test_cached_logits_equal_those_of_the_whole_sequence(changes: dict[str, Any]) -> None:
    check_that_parts_have_the_logits_of_the_whole(make(**changes), draw_tokens(3, LENGTH))


def test_left_padded_sequences_are_read_as_if_alone() -> None:
    check_that_left_padded_sequences_are_read_as_if_alone(make(), draw_tokens(3, 10))


def test_selected_rows_of_a_state_go_on_as_they_were() -> None:
    check_that_selected_rows_of_a_state_go_on(make(), draw_tokens(3, 6))


@torch.no_grad()
def test_later_tokens_leave_earlier_predictions_unchanged() -> None:
    model, tokens = make(), draw_tokens(1, 12)
    other = tokens.clone()
    other[:, 6:] = other[:, 6:].roll(1, 1)
    assert torch.equal(model(tokens)[:, :6], model(other)[:, :6])


def test_loss_is_the_cross_entropy_of_the_logits() -> None:
    check_that_loss_is_the_cross_entropy_of_the_logits(make(), draw_tokens(2, LENGTH))


def test_an_untrained_model_knows_nothing() -> None:
    torch.manual_seed(0)
    check_that_it_knows_nothing(Llama(CONFIGS["llama"], VOCABULARY), draw_tokens(4, LENGTH))


def test_attention_has_dropout_in_training_alone() -> None:
    model, tokens = make(attention_dropout=0.5), draw_tokens(2, 12)
    assert torch.equal(model(tokens), make()(tokens))
    assert not torch.allclose(model.train()(tokens), model(tokens), atol=1e-3)


def test_activations_in_bfloat16_come_close() -> None:
    check_that_bfloat16_comes_close(make(), draw_tokens(2, LENGTH))


def test_too_long_a_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="13 tokens do not fit the context of 12"):
        make()(draw_tokens(1, 13))


def test_the_operations_of_training_are_those_that_torch_counts() -> None:
    model = make()
    check_that_operations_are_those_that_torch_counts(
        model, draw_tokens(3, LENGTH), CONFIGS["llama"].num_hidden_layers, model.attention_size
    )
