"""The cache model follows its plain definition and is a distribution at every position."""

import time

import numpy as np
import pytest

from lmcore.evaluation.language_models.cache_model import CacheModel


def plain_probability(cache: CacheModel, history: list[int], token: int, order: int) -> float:
    """The definition, one token of the history after the other."""
    if order == 0:
        return 1 / cache.vocabulary_size
    lower = plain_probability(cache, history, token, order - 1)
    if order - 1 > len(history):
        return lower
    context = history[len(history) - order + 1 :]
    seen = continued = 0.0
    for position in range(max(0, len(history) - cache.num_tokens), len(history)):
        first = position - order + 1
        if first >= 0 and history[first:position] == context:
            weight = cache.decay ** (len(history) - position - 1)
            seen += weight
            continued += weight * (history[position] == token)
    return (continued + cache.prior * lower) / (seen + cache.prior)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("n_tokens", [1, 7, 40, 500])
@pytest.mark.parametrize("decay", [0.8, 0.99, 1.0])
def test_probabilities_are_those_of_the_definition(order: int, n_tokens: int, decay: float) -> None:
    tokens = np.random.default_rng(order).integers(0, 5, 120)
    cache = CacheModel(order=order, num_tokens=n_tokens, decay=decay, prior=1.5, vocabulary_size=6)
    expected = [
        plain_probability(cache, tokens[:position].tolist(), int(tokens[position]), order)
        for position in range(len(tokens))
    ]
    np.testing.assert_allclose(np.exp(cache.log_probabilities(tokens)), expected, rtol=1e-9)


def test_the_probabilities_of_all_tokens_at_one_position_sum_to_one() -> None:
    tokens = np.random.default_rng(0).integers(0, 5, 60)
    cache = CacheModel(order=3, num_tokens=20, decay=0.9, prior=0.5, vocabulary_size=5)
    last = [np.exp(cache.log_probabilities(np.append(tokens, token))[-1]) for token in range(5)]
    assert sum(last) == pytest.approx(1)


def test_a_long_stream_keeps_its_precision_and_takes_little_time() -> None:
    tokens = np.random.default_rng(0).zipf(1.5, 80_000).clip(max=9_999)
    cache = CacheModel(order=3, num_tokens=2_000, decay=0.99, prior=1.0, vocabulary_size=10_000)
    started = time.process_time()
    scores = cache.log_probabilities(tokens)
    assert time.process_time() - started < 5
    again = cache.log_probabilities(tokens[-10_000:])
    np.testing.assert_allclose(scores[-7_000:], again[-7_000:], rtol=1e-6)


def test_an_empty_stream_has_no_scores() -> None:
    cache = CacheModel(order=2, num_tokens=5, decay=0.9, prior=1.0, vocabulary_size=5)
    assert cache.log_probabilities(np.array([], dtype=np.int64)).shape == (0,)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="decay"):
        CacheModel(order=2, num_tokens=5, decay=1.5, prior=1.0, vocabulary_size=5)
