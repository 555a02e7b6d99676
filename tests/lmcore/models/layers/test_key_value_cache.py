"""A cache gives each continuation the attention that it would have to its own keys alone."""

import pytest
import torch

from lmcore.errors import UserError
from lmcore.models.layers.attention import attend
from lmcore.models.layers.key_value_cache import MIN_CAPACITY, KeyValueCache, selects_all, split_rows

N_HEADS, HEAD_DIM = 2, 4


class Sequences:
    """A cache of two layers, and for comparison the keys and values that each row of the batch has read."""

    def __init__(self, batch: int) -> None:
        self.cache = KeyValueCache(2, (batch, N_HEADS, HEAD_DIM), torch.float32, torch.device("cpu"))
        self.read = [torch.empty(2, batch, N_HEADS, 0, HEAD_DIM) for _ in range(2)]
        self.generator = torch.Generator().manual_seed(0)

    def extend(self, n_new: int) -> None:
        """Append positions to both layers, and compare with attention to what each row has read."""
        for layer in range(2):
            batch = self.read[layer].size(1)
            query, key, value = torch.randn(3, batch, N_HEADS, n_new, HEAD_DIM, generator=self.generator)
            before = self.read[layer].size(3)
            self.read[layer] = torch.cat((self.read[layer], torch.stack((key, value))), dim=3)
            visible = torch.ones(before + n_new, before + n_new, dtype=torch.bool).tril()[before:]
            mask = visible.expand(batch, 1, -1, -1) if before and n_new > 1 else None
            found = self.cache.attend(layer, query, key, value, mask)
            torch.testing.assert_close(found, attend(query, *self.read[layer], visible))
        self.cache.advance(n_new)
        assert self.cache.length == self.read[0].size(3)

    def select(self, rows: list[int]) -> None:
        self.cache.select(torch.tensor(rows))
        self.read = [part[:, rows] for part in self.read]

    def fork(self, n_continuations: int) -> None:
        self.cache.fork(n_continuations)
        self.read = [part.repeat_interleave(n_continuations, dim=1) for part in self.read]


def test_positions_are_appended_in_parts_of_any_length_also_when_the_buffers_grow() -> None:
    sequences = Sequences(batch=3)
    for n_new in (5, 1, MIN_CAPACITY, 1, 7, 2 * MIN_CAPACITY):
        sequences.extend(n_new)


def test_selected_rows_continue_with_what_they_have_read() -> None:
    sequences = Sequences(batch=3)
    sequences.extend(4)
    for rows in ([2, 0, 2, 1], [0, 1, 2, 3], [3]):
        sequences.select(rows)
        sequences.extend(1)


def test_continuations_of_a_text_see_the_text_and_their_own_tokens_only() -> None:
    sequences = Sequences(batch=2)
    sequences.extend(3)
    sequences.fork(3)
    for rows in ([0, 1, 2, 3, 4, 5], [2, 2, 0, 4, 3, 5], [5, 3, 3, 0, 0, 1], [2, 1, 0]):
        sequences.extend(1)
        sequences.select(rows)
    sequences.extend(1)


def test_a_selection_within_the_texts_copies_no_keys() -> None:
    sequences = Sequences(batch=2)
    sequences.extend(3)
    sequences.fork(2)
    sequences.extend(1)
    before = sequences.cache.keys[0].data_ptr()
    sequences.select([1, 1, 3, 2])
    assert sequences.cache.keys[0].data_ptr() == before


def test_padding_of_a_text_stays_invisible_to_its_continuations() -> None:
    padded, alone = (KeyValueCache(1, (1, 1, HEAD_DIM), torch.float32, torch.device("cpu")) for _ in range(2))
    query, key, value = torch.randn(3, 1, 1, 4, HEAD_DIM, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[False, False, True, True]])
    padded.attend(0, query, key, value, mask[:, None, None].expand(-1, -1, 4, -1))
    alone.attend(0, query[:, :, 2:], key[:, :, 2:], value[:, :, 2:])
    padded.advance(4)
    alone.advance(2)
    padded.fork(2, mask)
    alone.fork(2)
    step = torch.randn(3, 2, 1, 1, HEAD_DIM, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(padded.attend(0, *step), alone.attend(0, *step))


def test_after_a_fork_several_tokens_at_once_are_refused() -> None:
    sequences = Sequences(batch=1)
    sequences.extend(2)
    sequences.fork(2)
    with pytest.raises(UserError, match="continuations of one text read one token at a time, not 2"):
        sequences.cache.attend(0, *torch.zeros(3, 2, N_HEADS, 2, HEAD_DIM))


def test_grouped_rows_are_a_text_and_its_continuations() -> None:
    texts, continuations = split_rows(torch.tensor([5, 3, 3, 0, 2, 1]), 3)
    assert texts.tolist() == [1, 0]
    assert continuations.tolist() == [[2, 0, 0], [0, 2, 1]]


@pytest.mark.parametrize(("rows", "expected"), [([0, 1, 2], True), ([0, 1], False), ([0, 2, 1], False)])
def test_only_all_rows_in_their_order_are_all_rows(rows: list[int], *, expected: bool) -> None:
    assert selects_all(torch.tensor(rows), 3) is expected
