"""T5: step by step, padded and in bfloat16 it is the same model, and its buckets are the published ones."""

from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers.models.t5.modeling_t5 import T5Attention as ReferenceAttention

from lmcore.models.t5.layers import RelativePositionBias
from lmcore.models.t5.model import T5
from tests.lmcore.models.encoder_decoder.test_encoder_decoder import pad_right
from tests.lmcore.models.sequence_to_sequence_checks import (
    check_that_parts_have_the_logits_of_the_whole,
    check_that_selected_rows_of_a_state_go_on,
)
from tests.lmcore.models.small_models import CONFIGS, VOCABULARY, draw_tokens, make_model

CONFIG = CONFIGS["t5"]


def make(**changes: Any) -> T5:
    model = make_model("t5", **changes)
    assert isinstance(model, T5)
    return model


@pytest.mark.parametrize("is_bidirectional", [False, True])
@pytest.mark.parametrize(("n_buckets", "max_distance"), [(32, 128), (8, 10), (64, 1000)])
def test_buckets_of_distances_are_the_published_ones(
    n_buckets: int, max_distance: int, *, is_bidirectional: bool
) -> None:
    shape = {"relative_attention_num_buckets": n_buckets, "relative_attention_max_distance": max_distance}
    bias = RelativePositionBias(CONFIG.model_copy(update=shape), is_bidirectional=is_bidirectional)
    offsets = torch.arange(-3000, 3000)
    expected = ReferenceAttention._relative_position_bucket(
        offsets, bidirectional=is_bidirectional, num_buckets=n_buckets, max_distance=max_distance
    )
    assert torch.equal(bias.buckets(offsets), expected)
    assert len(expected.unique()) == n_buckets - is_bidirectional  # a distance of zero to the right does not exist


@pytest.mark.parametrize("changes", [{}, {"feed_forward_proj": "relu", "tie_word_embeddings": False}])
def test_logits_step_by_step_equal_those_of_the_whole_target(changes: dict[str, Any]) -> None:
    source = pad_right(draw_tokens(3, 9), 9, 4, 6)
    check_that_parts_have_the_logits_of_the_whole(make(**changes), source, draw_tokens(3, 12))


def test_selected_rows_of_a_state_go_on_as_they_were() -> None:
    source = pad_right(draw_tokens(3, 9), 9, 4, 6)
    check_that_selected_rows_of_a_state_go_on(make(), source, draw_tokens(3, 6))


@torch.no_grad()
def test_left_padded_beginnings_and_padded_sources_are_read_as_if_alone() -> None:
    model, source, tokens = make(), pad_right(draw_tokens(2, 9), 5, 9), draw_tokens(2, 6)
    mask = torch.arange(6) >= torch.tensor([[4], [0]])
    logits = model.next_logits(tokens, mask=mask, state=model.new_state(source))
    alone = model.next_logits(tokens[:1, 4:], state=model.new_state(source[:1, :5]))
    torch.testing.assert_close(logits[:1], alone, rtol=1e-4, atol=1e-5)


def test_a_source_ends_and_a_target_begins_with_padding() -> None:
    model, targets = make(), draw_tokens(1, 3)
    assert model.framed([5, 6]) == [5, 6, VOCABULARY.end_of_text_id]
    assert model._shift_right(targets)[0].tolist() == [VOCABULARY.padding_id, *targets[0, :2].tolist()]


def test_activations_in_bfloat16_come_close() -> None:
    model, source, targets = make(), pad_right(draw_tokens(2, 9), 9, 4), draw_tokens(2, 6)
    accurate = model.loss(source, targets)
    model.compute_in(torch.bfloat16)
    rough = model.loss(source, targets)
    rough.backward()
    assert model.encode(source).dtype == model.new_state(source).source_keys[0].dtype == torch.bfloat16
    torch.testing.assert_close(rough, accurate, rtol=0.03, atol=0)
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_operations_of_training_are_those_that_torch_counts() -> None:
    model, tokens = make(), draw_tokens(3, CONFIG.max_position_embeddings)
    # Only the plain kernel is made of products that are counted one by one.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.loss(tokens, tokens).backward()
    # What is computed and thrown away, attention's look into the future, is not needed for training.
    attention_size = CONFIG.num_attention_heads * CONFIG.head_dim
    future = 6 * CONFIG.decoder_layers * attention_size * CONFIG.max_position_embeddings
    assert counter.get_total_flops() / tokens.numel() == model.flops_per_token() + future
