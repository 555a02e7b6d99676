"""Streams: every batch goes on where the last one ended, and every epoch starts elsewhere."""

from itertools import pairwise

import numpy as np
import pytest

from lmcore.tokens.batches.streams import StreamBatches, tokens_of_streams

STREAM = np.arange(1, 204, dtype=np.uint16)


def make_streams(seed: int = 1, n_validation: int = 100) -> StreamBatches:
    return StreamBatches(
        STREAM, STREAM[:n_validation], sequence_length=7, batch_size=4, seed=seed, max_validation_windows=8
    )


def test_an_epoch_reads_every_stream_in_its_order_and_hardly_leaves_anything_out() -> None:
    batches = make_streams()
    n_batches = batches.n_examples // 4
    read = [batches.training_batch(step) for step in range(n_batches)]
    assert [batch.continues for batch in read] == [False] + [True] * (n_batches - 1)
    rows = np.concatenate([batch.tokens.numpy() for batch in read], axis=1)
    assert np.all((np.diff(rows.astype(int), axis=1) - 1) % len(STREAM) == 0)
    assert len(set(rows.ravel().tolist())) == rows.size
    assert rows.size >= len(STREAM) - 4 * (7 + 1)


def test_targets_are_the_next_tokens() -> None:
    batch = make_streams().training_batch(3)
    assert ((batch.targets - batch.tokens - 1) % len(STREAM) == 0).all()


def test_the_next_epoch_starts_elsewhere_and_anew() -> None:
    batches = make_streams()
    n_batches = batches.n_examples // 4
    first, second = batches.training_batch(0), batches.training_batch(n_batches)
    assert not second.continues
    assert (first.tokens != second.tokens).any()
    assert (make_streams().training_batch(n_batches).tokens == second.tokens).all()
    assert (make_streams(seed=2).training_batch(0).tokens != first.tokens).any()


def test_validation_reads_the_first_windows_of_its_streams() -> None:
    found = list(make_streams().validation_batches())
    assert [batch.continues for batch in found] == [False, True]
    assert found[0].tokens[:, 0].tolist() == [1, 26, 51, 76]
    assert found[1].tokens[:, 0].tolist() == [8, 33, 58, 83]


def test_a_short_validation_split_is_read_in_fewer_streams() -> None:
    (batch, *_) = make_streams(n_validation=20).validation_batches()
    assert batch.tokens.tolist() == [[1, 2, 3, 4, 5, 6, 7], [11, 12, 13, 14, 15, 16, 17]]


def test_too_few_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="the validation split has 7 tokens, too few for a window of 7"):
        make_streams(n_validation=7)


@pytest.mark.parametrize("n_steps", [1, 4, 100])
def test_seen_tokens_are_those_of_the_batches(n_steps: int) -> None:
    batches = make_streams()
    n_first_epoch = min(n_steps, batches.n_examples // 4)
    given = {int(token) for step in range(n_first_epoch) for token in batches.training_batch(step).tokens.ravel()}
    tokens, offsets = tokens_of_streams(STREAM, batches.drawn(n_steps))
    assert sorted(given) == sorted(tokens.tolist())
    for start, end in pairwise(offsets):
        assert np.all((np.diff(tokens[start:end].astype(int)) - 1) % len(STREAM) == 0)
