import numpy as np
import pytest

from lmcore.evaluation.bootstrap import Bootstrap, ratio, ratio_difference
from lmcore.evaluation.config import BootstrapConfig

CONFIG = BootstrapConfig(n_resamples=2000, confidence=0.95)


def test_the_interval_of_a_mean_is_the_one_of_the_normal_distribution():
    values = np.random.default_rng(1).normal(10, 3, 500)
    estimate = Bootstrap(500, CONFIG, seed=0).estimate(np.stack((values, np.ones(500)), axis=1), ratio)
    half_width = 1.96 * values.std() / np.sqrt(500)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - half_width, abs=0.1 * half_width)
    assert estimate.high == pytest.approx(values.mean() + half_width, abs=0.1 * half_width)


def test_95_percent_intervals_hold_the_truth_in_about_95_of_100_cases():
    generator = np.random.default_rng(2)
    hits = 0
    for case in range(200):
        values = generator.exponential(1.0, 200)
        bootstrap = Bootstrap(200, BootstrapConfig(n_resamples=300, confidence=0.95), seed=case)
        estimate = bootstrap.estimate(np.stack((values, np.ones(200)), axis=1), ratio)
        hits += estimate.low <= 1.0 <= estimate.high
    assert 180 <= hits <= 198


def test_a_paired_difference_is_far_more_certain_than_its_two_parts():
    generator = np.random.default_rng(3)
    difficulty, n_bytes = generator.normal(100, 30, 400), np.full(400, 50.0)
    better = difficulty - 1 + generator.normal(0, 1, 400)
    bootstrap = Bootstrap(400, CONFIG, seed=0)
    alone = bootstrap.estimate(np.stack((better, n_bytes), axis=1), ratio)
    paired = bootstrap.estimate(np.stack((better, n_bytes, difficulty, n_bytes), axis=1), ratio_difference)
    assert paired.high < 0
    assert alone.high - alone.low > 10 * (paired.high - paired.low)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    statistics = np.stack((np.random.default_rng(4).normal(size=50), np.ones(50)), axis=1)
    first = Bootstrap(50, CONFIG, seed=0).estimate(statistics, ratio)
    assert Bootstrap(50, CONFIG, seed=0).estimate(statistics, ratio) == first
    assert Bootstrap(50, CONFIG, seed=1).estimate(statistics, ratio) != first


def test_no_items_are_an_error():
    with pytest.raises(ValueError, match="no test items"):
        Bootstrap(0, CONFIG, seed=0)
