"""Batches: every token once an epoch, in an order that the seed and the step decide."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.tokens.batches.batches import IGNORED, ExampleBatches, WindowBatches, drawn_examples, tokens_of_windows

STREAM = np.arange(1, 102, dtype=np.uint16)


def make_windows(seed: int = 1) -> WindowBatches:
    return WindowBatches(STREAM, STREAM, sequence_length=10, batch_size=2, seed=seed, max_validation_windows=3)


def test_an_epoch_sees_every_token_once() -> None:
    batches = make_windows()
    seen = np.concatenate([batches.training_batch(step).tokens.numpy().ravel() for step in range(5)])
    assert sorted(seen.tolist()) == STREAM[:100].tolist()


def test_targets_are_the_next_tokens() -> None:
    batch = make_windows().training_batch(3)
    assert (batch.targets == batch.tokens + 1).all()


def test_the_seed_changes_the_order_and_the_step_alone_gives_it_back() -> None:
    first, again, other = make_windows(), make_windows(), make_windows(seed=2)
    first.training_batch(7)
    assert (first.training_batch(3).tokens == again.training_batch(3).tokens).all()
    assert any((first.training_batch(step).tokens != other.training_batch(step).tokens).any() for step in range(5))


def test_validation_is_the_first_windows() -> None:
    tokens = [batch.tokens.numpy() for batch in make_windows().validation_batches()]
    assert np.concatenate(tokens).ravel().tolist() == STREAM[:30].tolist()


def test_too_few_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="the validation split has 10 tokens, too few for one window of 10"):
        WindowBatches(STREAM, STREAM[:10], sequence_length=10, batch_size=2, seed=1, max_validation_windows=3)


@given(n_examples=st.integers(1, 50), first=st.integers(0, 200), count=st.integers(0, 120))
def test_drawing_in_parts_equals_drawing_at_once(n_examples: int, first: int, count: int) -> None:
    whole = drawn_examples(n_examples, 3, 0, first + count)
    assert drawn_examples(n_examples, 3, first, count).tolist() == whole[first:].tolist()


@given(n_drawn=st.integers(1, 25))
def test_seen_tokens_are_those_of_the_batches(n_drawn: int) -> None:
    batches = WindowBatches(STREAM, STREAM, sequence_length=10, batch_size=1, seed=1, max_validation_windows=1)
    given_tokens = {int(token) for step in range(n_drawn) for token in batches.training_batch(step).tokens.ravel()}
    tokens, offsets = tokens_of_windows(STREAM, batches.drawn(n_drawn))
    assert sorted(given_tokens) == tokens.tolist()
    for start, end in pairwise(offsets):
        assert (np.diff(tokens[start:end].astype(int)) == 1).all()
    breaks = offsets[1:-1]
    assert (tokens[breaks].astype(int) - tokens[breaks - 1] > 1).all()


@pytest.mark.parametrize("n_examples", [1, 3, 16, 17, 50, 100, 300, 513, 1000])
@pytest.mark.parametrize("batch_size", [1, 16])
def test_every_epoch_holds_every_example_once_and_no_batch_one_twice(n_examples: int, batch_size: int) -> None:
    examples = [([number + 1] * (1 + number * 7 % 13), number) for number in range(n_examples)]
    batches = ExampleBatches(examples, examples[:5], batch_size=batch_size, seed=1, padding=0)
    orders, sizes = [], []
    for epoch in range(2):
        seen: list[int] = []
        for index in range(batches.batches_per_epoch):
            batch = batches.training_batch(epoch * batches.batches_per_epoch + index)
            sizes.append(len(batch.targets))
            for row, target in zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True):
                assert [token for token in row if token] == examples[target][0]
                seen.append(target)
        assert sorted(seen) == list(range(n_examples))
        orders.append(seen)
    assert max(sizes) <= min(sizes) + 1 <= batch_size + 1
    assert n_examples < 17 or orders[0] != orders[1]


def test_examples_of_similar_length_are_together() -> None:
    lengths = np.random.default_rng(0).integers(1, 200, 600)
    examples = [([1] * int(length), 0) for length in lengths]
    batches = ExampleBatches(examples, examples, batch_size=16, seed=1, padding=0)
    n_padded = sum(batches.training_batch(index).tokens.numel() for index in range(batches.batches_per_epoch))
    assert n_padded < 1.1 * lengths.sum()


def test_pairs_of_similar_lengths_are_together() -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(5, 40, 600)
    n_targets = np.maximum(lengths + generator.integers(-4, 5, 600), 1)
    examples = [([1] * int(length), [1] * int(count)) for length, count in zip(lengths, n_targets, strict=True)]
    batches = ExampleBatches(examples, examples, batch_size=16, seed=1, padding=0)
    drawn = [batches.training_batch(index) for index in range(batches.batches_per_epoch)]
    n_padded = sum(batch.tokens.numel() + batch.targets.numel() for batch in drawn)
    assert n_padded < 1.2 * (lengths.sum() + n_targets.sum())


def test_padded_targets_do_not_count() -> None:
    batches = ExampleBatches([([5, 6], [6, 7])], [([5, 6], [6, 7]), ([5], [9])], batch_size=2, seed=1, padding=0)
    (batch,) = batches.validation_batches()
    assert batch.n_targets == 3
    assert (batch.targets[batch.tokens == 0] == IGNORED).all()


def test_the_documents_of_a_window_start_with_its_end_tokens() -> None:
    stream = np.array([7, 8, 0, 9, 0, 0, 5, 6, 7, 8, 9])
    batches = WindowBatches(
        stream, stream, sequence_length=5, batch_size=2, seed=1, max_validation_windows=2, end_of_text_id=0
    )
    (batch,) = batches.validation_batches()
    assert batch.tokens.tolist() == [[7, 8, 0, 9, 0], [0, 5, 6, 7, 8]]
    assert batch.arguments["document_ids"].tolist() == [[0, 0, 1, 1, 2], [1, 1, 1, 1, 1]]
    assert make_windows().training_batch(0).arguments == {}
