import numpy as np
import pytest

from lmcore.config.evaluate import BootstrapConfig
from lmcore.evaluation.intervals import Bootstrap
from lmcore.evaluation.texts.statistics import DistinctFraction

BOOTSTRAP = Bootstrap(30, BootstrapConfig(num_resamples=200, confidence=0.95), seed=0)


def random_words(seed: int, n_words: int) -> DistinctFraction:
    drawn = np.random.default_rng(seed).zipf(1.5, (30, 12)) % n_words
    return DistinctFraction(tuple(tuple((str(word),) for word in row) for row in drawn), "")


def without(metric: DistinctFraction, index: int) -> float:
    kept = [own for number, own in enumerate(metric.n_grams) if number != index]
    words = [word for own in kept for word in own]
    return len(set(words)) / len(words)


def test_the_standard_error_is_that_of_leaving_out_one_text():
    metric = random_words(0, 500)
    found = metric.estimate(BOOTSTRAP)
    values = np.array([without(metric, index) for index in range(30)])
    error = np.sqrt(29 / 30 * ((values - values.mean()) ** 2).sum())
    assert found.high - found.value == pytest.approx(2.045 * error, rel=1e-3)


def test_a_system_that_varies_its_words_more_is_told_from_one_that_does_not():
    rich, poor = random_words(1, 500), random_words(2, 10)
    found = rich.difference(poor, BOOTSTRAP)
    assert found.value == pytest.approx(rich.value - poor.value)
    assert found.low > 0
    assert found.p_value < 0.01
    assert rich.difference(rich, BOOTSTRAP).p_value == 1.0


def test_a_selection_has_the_words_of_its_texts_alone():
    metric = random_words(3, 50)
    chosen = metric.select(np.arange(1, 30))
    assert chosen.value == pytest.approx(without(metric, 0))
