"""N-gram heads find what a search by hand finds, and see nothing of another text."""

import pytest
import torch
from torch import Tensor

from lmcore.models.gpt.ngram_heads import find_continuations

N_TOKENS = 5
"""So few that sequences often repeat."""


def draw_tokens(*shape: int) -> Tensor:
    return torch.randint(N_TOKENS, shape, generator=torch.Generator().manual_seed(1))


def searched(text: list[int], order: int) -> tuple[int | None, int]:
    """What followed the last occurrence of the longest of the latest sequences, and its length."""
    for length in range(order, 0, -1):
        for end in range(len(text) - 1, length - 1, -1):
            if text[end - length : end] == text[len(text) - length :]:
                return text[end], length
    return None, 0


@pytest.mark.parametrize("order", [1, 2, 3, 8])
@pytest.mark.parametrize("n_new", [1, 4, 30])
def test_it_finds_what_a_search_finds(order: int, n_new: int) -> None:
    tokens = draw_tokens(6, 30)
    following, lengths = find_continuations(tokens, n_new, order)
    for row in range(6):
        for index in range(n_new):
            text = tokens[row, : 30 - n_new + index + 1].tolist()
            expected, length = searched(text, order)
            assert lengths[row, index] == length
            assert length == 0 or following[row, index] == expected


def test_nothing_is_found_in_another_document() -> None:
    tokens = draw_tokens(4, 24)
    documents = torch.tensor([0] * 10 + [1] * 14).expand(4, -1)
    visible = (documents.unsqueeze(2) == documents.unsqueeze(1)).unsqueeze(1)
    following, lengths = find_continuations(tokens, 24, 3, visible)
    for part in (slice(0, 10), slice(10, 24)):
        alone, lengths_alone = find_continuations(tokens[:, part], tokens[:, part].size(1), 3)
        torch.testing.assert_close(lengths[:, part], lengths_alone)
        found = lengths_alone > 0
        torch.testing.assert_close(following[:, part][found], alone[found])


def test_padding_on_the_left_changes_nothing() -> None:
    tokens = draw_tokens(3, 12)
    padded = torch.cat((torch.full((3, 5), 2), tokens), dim=1)
    is_text = torch.arange(17) >= 5
    following, lengths = find_continuations(padded, 12, 2, is_text.expand(3, 1, 12, 17))
    alone, lengths_alone = find_continuations(tokens, 12, 2)
    torch.testing.assert_close(lengths, lengths_alone)
    torch.testing.assert_close(following[lengths > 0], alone[lengths > 0])
