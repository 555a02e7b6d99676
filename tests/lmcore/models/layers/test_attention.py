"""Attention equals its definition, for every mask and for shared keys, and padding is never attended to."""

import math

import pytest
import torch
from torch import Tensor

from lmcore.errors import UserError
from lmcore.models.layers.attention import (
    attend,
    attend_to_shared,
    causal_mask,
    check_context_length,
    padding_mask,
    repeat_heads,
    text_positions,
)

CPU = torch.device("cpu")
IS_TEXT = torch.tensor([[True, True, True, True], [False, False, True, True], [False, False, False, True]])


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def attend_by_definition(query: Tensor, key: Tensor, value: Tensor, visible: Tensor) -> Tensor:
    """Softmax of the scaled products with the visible keys, one query at a time."""
    result = torch.empty(*query.shape[:-1], value.size(-1))
    visible = visible.expand(*query.shape[:-1], key.size(2))
    for index in torch.cartesian_prod(*(torch.arange(size) for size in query.shape[:-1])).tolist():
        row, head, position = index
        seen = visible[row, head, position]
        scores = key[row, head][seen] @ query[row, head, position] / math.sqrt(query.size(-1))
        result[row, head, position] = scores.softmax(dim=0) @ value[row, head][seen]
    return result


def test_attention_is_causal_or_as_the_mask_says() -> None:
    query, key, value = (draw(3, 2, 4, 8, seed=seed) for seed in range(3))
    causal = torch.ones(4, 4, dtype=torch.bool).tril()
    torch.testing.assert_close(attend(query, key, value), attend_by_definition(query, key, value, causal))
    visible = draw(3, 1, 4, 4, seed=4) > 0
    visible[..., 0] = True
    torch.testing.assert_close(attend(query, key, value, visible), attend_by_definition(query, key, value, visible))


@pytest.mark.parametrize("mask", ["none", "per text", "per continuation"])
def test_continuations_and_groups_of_heads_attend_to_shared_keys_as_to_copies_of_them(mask: str) -> None:
    n_texts, n_continuations, n_heads, n_shared, n_positions = 3, 2, 4, 2, 5
    query = draw(n_texts * n_continuations, n_heads, 1, 8)
    keys, values = (draw(n_texts, n_shared, n_positions, 8, seed=seed) for seed in (1, 2))
    n_masks = n_continuations if mask == "per continuation" else 1
    visible = draw(n_texts, 1, n_masks, n_positions, seed=3) > 0
    visible[..., 0] = True
    of_rows = visible.expand(-1, -1, n_continuations, -1).reshape(n_texts * n_continuations, 1, 1, n_positions)
    if mask == "none":
        of_rows = torch.ones_like(of_rows)
    copies = (repeat_heads(part, 2).repeat_interleave(n_continuations, dim=0) for part in (keys, values))
    found = attend_to_shared(query, keys, values, None if mask == "none" else visible)
    torch.testing.assert_close(found, attend_by_definition(query, *copies, of_rows))


def test_heads_of_a_group_are_adjacent() -> None:
    part = draw(2, 3, 4, 5)
    repeated = repeat_heads(part, 2)
    assert repeated.shape == (2, 6, 4, 5)
    assert all(torch.equal(repeated[:, head], part[:, head // 2]) for head in range(6))


def test_positions_count_from_the_first_token_of_the_text() -> None:
    assert text_positions(3, 2, None, CPU).tolist() == [2, 3, 4]
    found = text_positions(2, 2, IS_TEXT, CPU)
    assert found.tolist() == [[2, 3], [0, 1], [0, 0]]


def test_a_new_token_attends_to_the_text_before_it_and_to_itself_and_only_padding_to_padding() -> None:
    visible = causal_mask(2, 2, IS_TEXT, CPU)
    assert visible is not None
    assert visible.shape == (3, 1, 2, 4)
    for row in range(3):
        for query, position in enumerate((2, 3)):
            expected = [key == position or (key < position and bool(IS_TEXT[row, key])) for key in range(4)]
            assert visible[row, 0, query].tolist() == expected


def test_without_padding_only_several_tokens_after_others_need_a_mask() -> None:
    assert causal_mask(4, 0, None, CPU) is None
    assert causal_mask(1, 3, None, CPU) is None
    visible = causal_mask(2, 1, None, CPU)
    assert visible is not None
    assert visible.tolist() == [[[[True, True, False], [True, True, True]]]]


def test_a_mask_hides_padding_unless_there_is_nothing_else() -> None:
    assert padding_mask(torch.ones(2, 3, dtype=torch.bool)) is None
    found = padding_mask(torch.tensor([[True, True, False], [False, False, False]]))
    assert found is not None
    assert found[:, 0, 0].tolist() == [[True, True, False], [True, True, True]]


def test_a_sequence_that_fills_the_context_fits_and_one_token_more_does_not() -> None:
    check_context_length(12, 12)
    with pytest.raises(UserError, match="13 tokens do not fit the context of 12: shorten the input"):
        check_context_length(13, 12)
