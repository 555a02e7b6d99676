"""Corruption: how much is masked, in how many spans, and that the source matches the text."""

from collections import Counter
from itertools import groupby

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmcore.config.families import CorruptionConfig
from lmcore.tokens.batches.batches import WindowBatches
from lmcore.tokens.batches.corruption import CorruptedBatches, corrupt, masked_spans
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

VOCABULARY = Vocabulary(size=50, end_of_text_id=0, padding_id=1, mask_id=2)
CONFIG = CorruptionConfig(noise_density=0.3, mean_noise_span_length=3.0)


def count_spans(masked: np.ndarray) -> int:
    return sum(is_masked for is_masked, _ in groupby(masked.tolist()))


@given(length=st.integers(2, 100), share=st.floats(0.01, 0.99), mean=st.floats(1.0, 20.0), seed=st.integers(0, 99))
def test_the_share_and_the_number_of_spans_are_met(length: int, share: float, mean: float, seed: int) -> None:
    config = CorruptionConfig(noise_density=share, mean_noise_span_length=mean)
    masked = masked_spans(length, config, np.random.default_rng(seed))
    n_masked = min(max(1, round(share * length)), length - 1)
    assert (len(masked), masked.sum()) == (length, n_masked)
    assert count_spans(masked) == min(max(1, round(n_masked / mean)), n_masked, length - n_masked + 1)


def test_every_way_to_hide_two_spans_is_equally_likely() -> None:
    config = CorruptionConfig(noise_density=0.5, mean_noise_span_length=1.5)
    generator = np.random.default_rng(0)
    drawn = Counter(tuple(masked_spans(6, config, generator).tolist()) for _ in range(12_000))
    # Three masked tokens in two spans (1 + 2 or 2 + 1), three visible ones of which one at least lies between: 2 · 6.
    assert len(drawn) == 12
    assert all(abs(count - 1000) < 150 for count in drawn.values())


def test_one_token_cannot_be_masked_in_part() -> None:
    with pytest.raises(ValueError, match="1 tokens are too few"):
        masked_spans(1, CONFIG, np.random.default_rng(0))


def test_each_span_becomes_one_mask_token_and_end_tokens_stay() -> None:
    tokens = np.array([5, 6, 7, 8, 0, 9, 10, 11])
    masked = np.array([True, True, False, True, True, True, False, True])
    assert corrupt(tokens, masked, VOCABULARY).tolist() == [2, 7, 2, 0, 2, 10, 2]
    assert corrupt(tokens, np.zeros(8, dtype=bool), VOCABULARY).tolist() == tokens.tolist()


def make_batches(seed: int = 1, sequence_length: int = 21, end_of_text_id: int | None = None) -> CorruptedBatches:
    stream = np.random.default_rng(0).integers(3, 50, 20 * sequence_length + 1)
    stream[::13] = 0
    windows = WindowBatches(
        stream,
        stream,
        sequence_length=sequence_length,
        batch_size=4,
        seed=seed,
        max_validation_windows=6,
        end_of_text_id=end_of_text_id,
    )
    return CorruptedBatches(windows, VOCABULARY, CONFIG, seed=seed)


def fits(source: list[int], text: list[int]) -> bool:
    """Whether ``text`` comes from ``source`` if each mask token is replaced by one token or more."""
    if not source or not text:
        return source == text
    if source[0] == VOCABULARY.mask_id:
        return any(fits(source[1:], text[length:]) for length in range(1, len(text) + 1))
    return source[0] == text[0] and fits(source[1:], text[1:])


def test_targets_are_the_texts_that_the_sources_were_made_of() -> None:
    batches = make_batches()
    for batch in (batches.training_batch(0), *batches.validation_batches()):
        assert batch.n_targets == batch.targets.numel()
        for source, text in zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True):
            bare = [token for token in source if token != VOCABULARY.padding_id]
            assert source[: len(bare)] == bare
            assert VOCABULARY.mask_id in bare
            assert fits(bare, text)


def test_each_document_of_a_target_has_its_own_source() -> None:
    batches = make_batches(end_of_text_id=VOCABULARY.end_of_text_id)
    for batch in (batches.training_batch(0), *batches.validation_batches()):
        assert batch.document_ids is not None
        assert batch.target_document_ids is not None
        parts = (batch.tokens, batch.document_ids, batch.targets, batch.target_document_ids)
        for source, source_ids, text, text_ids in zip(*parts, strict=True):
            assert (source_ids[source == VOCABULARY.padding_id] == -1).all()
            assert set(text_ids.tolist()) == set(source_ids[source != VOCABULARY.padding_id].tolist())
            for document in text_ids.unique():
                own = text[text_ids == document].tolist()
                assert fits(source[source_ids == document].tolist(), own)
                assert VOCABULARY.end_of_text_id not in own[:-1]


@pytest.mark.parametrize("sequence_length", [2, 9, 21])
def test_sources_are_never_longer_than_the_text(sequence_length: int) -> None:
    batches = make_batches(sequence_length=sequence_length)
    assert all(batches.training_batch(step).tokens.size(1) <= sequence_length for step in range(10))


def test_a_step_always_gives_the_same_batch_and_an_epoch_others_than_the_last() -> None:
    first, again = make_batches(), make_batches()
    first.training_batch(2)
    batch, same = first.training_batch(7), again.training_batch(7)
    assert torch.equal(batch.tokens, same.tokens)
    assert torch.equal(batch.targets, same.targets)
    epochs = []
    for epoch in range(2):
        drawn = [first.training_batch(step) for step in range(5 * epoch, 5 * epoch + 5)]
        epochs.append(
            {
                tuple(text): [token for token in source if token != VOCABULARY.padding_id]
                for batch in drawn
                for source, text in zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True)
            }
        )
    assert epochs[0].keys() == epochs[1].keys()
    assert sum(epochs[0][text] != epochs[1][text] for text in epochs[0]) > 15


def test_validation_hides_the_same_spans_always_and_for_every_seed() -> None:
    batches = list(make_batches().validation_batches())
    assert [len(batch.tokens) for batch in batches] == [4, 2]
    for other in (make_batches(), make_batches(seed=5)):
        for batch, same in zip(batches, other.validation_batches(), strict=True):
            assert torch.equal(batch.tokens, same.tokens)
