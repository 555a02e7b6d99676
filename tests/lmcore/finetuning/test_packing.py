"""Packed batches: every example once an epoch, whole, next to others, in an order that seed and step decide."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.finetuning.packing import PackedBatches, best_fit_decreasing
from lmcore.tokens.batches.batches import IGNORED, Batch

LENGTHS = np.random.default_rng(0).integers(1, 40, 200).tolist()
EXAMPLES = [([number + 1] * length, [number] * (length - 1) + [IGNORED]) for number, length in enumerate(LENGTHS)]


def make_batches(seed: int = 1, batch_size: int = 4) -> PackedBatches:
    return PackedBatches(EXAMPLES, EXAMPLES[:9], sequence_length=64, batch_size=batch_size, seed=seed, padding=0)


def unpacked(batch: Batch) -> list[tuple[list[int], list[int]]]:
    """The examples of a batch, without padding."""
    found = []
    assert batch.document_ids is not None
    parts = (part.numpy() for part in (batch.tokens, batch.targets, batch.document_ids))
    for tokens, targets, documents in zip(*parts, strict=True):
        for document in np.unique(documents):
            inside = documents == document
            if tokens[inside].any():
                found.append((tokens[inside].tolist(), targets[inside].tolist()))
            else:
                assert (targets[inside] == IGNORED).all()
    return found


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_every_epoch_holds_every_example_once_with_its_targets(batch_size: int) -> None:
    batches = make_batches(batch_size=batch_size)
    for epoch in range(2):
        steps = range(epoch * batches.batches_per_epoch, (epoch + 1) * batches.batches_per_epoch)
        seen = [example for step in steps for example in unpacked(batches.training_batch(step))]
        assert sorted(seen) == sorted(EXAMPLES)


def test_validation_holds_every_example_once() -> None:
    seen = [example for batch in make_batches().validation_batches() for example in unpacked(batch)]
    assert sorted(seen) == sorted(EXAMPLES[:9])


def test_a_batch_depends_on_seed_and_step_alone_and_epochs_differ() -> None:
    first, again, other = make_batches(), make_batches(), make_batches(seed=2)
    first.training_batch(0)
    n_steps = first.batches_per_epoch
    assert (first.training_batch(n_steps + 2).tokens == again.training_batch(n_steps + 2).tokens).all()
    assert (first.training_batch(2).tokens == again.training_batch(2).tokens).all()
    assert (first.training_batch(2).tokens != other.training_batch(2).tokens).any()
    assert (first.training_batch(2).tokens != first.training_batch(n_steps + 2).tokens).any()


def test_neighbors_change_from_epoch_to_epoch() -> None:
    batches = make_batches(batch_size=1)
    n_steps = batches.batches_per_epoch
    rows = [frozenset(batches.training_batch(step).tokens.unique().tolist()) for step in range(2 * n_steps)]
    assert len({*rows[:n_steps]} & {*rows[n_steps:]}) < n_steps / 2


def test_there_is_little_padding() -> None:
    batches = make_batches(batch_size=1)
    assert batches.batches_per_epoch * 64 < 1.05 * sum(LENGTHS)


@given(lengths=st.lists(st.integers(1, 12), max_size=60))
def test_best_fit_fills_each_sequence_as_a_search_through_all_would(lengths: list[int]) -> None:
    expected: list[list[int]] = []
    for length in sorted(lengths, reverse=True):
        fitting = [row for row in expected if sum(row) + length <= 12]
        if fitting:
            max(fitting, key=sum).append(length)
        else:
            expected.append([length])
    packed = best_fit_decreasing(lengths, 12).lengths
    assert sorted(map(sum, packed)) == sorted(map(sum, expected))
    assert sorted(length for row in packed for length in row) == sorted(lengths)


def test_a_too_long_example_is_refused() -> None:
    with pytest.raises(ValueError, match="an example of 9 tokens does not fit a packed sequence of 8"):
        PackedBatches([([1] * 9, [1] * 9)], [], sequence_length=8, batch_size=1, seed=1, padding=0)
