import numpy as np
import pytest
from scipy.stats import binom, binomtest, ttest_1samp

from lmcore.config.evaluate import BootstrapConfig
from lmcore.evaluation.intervals import (
    Bootstrap,
    mcnemar_p_value,
    mean,
    mean_difference,
    proportion,
    proportion_difference,
    ratio,
    ratio_difference,
)

CONFIG = BootstrapConfig(num_resamples=2000, confidence=0.95)


def test_the_interval_of_a_mean_is_the_one_of_the_normal_distribution():
    values = np.random.default_rng(1).normal(10, 3, 500)
    estimate = Bootstrap(500, CONFIG, seed=0).estimate(np.stack((values, np.ones(500)), axis=1), ratio)
    half_width = 1.96 * values.std() / np.sqrt(500)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - half_width, abs=0.1 * half_width)
    assert estimate.high == pytest.approx(values.mean() + half_width, abs=0.1 * half_width)


def draw_documents(generator: np.random.Generator, n: int) -> np.ndarray:
    """Bits and bytes, then those of another model; lengths vary a lot, and long documents need fewer bits per byte."""
    n_bytes = np.exp(generator.normal(5.5, 1.1, n))
    rate = np.exp(generator.normal(0.6, 0.25, n)) * (n_bytes / 250) ** -0.15
    other = rate * np.exp(generator.normal(-0.03, 0.12, n))
    return np.stack((n_bytes * rate, n_bytes, n_bytes * other, n_bytes), axis=1)


@pytest.mark.parametrize(("measure", "columns"), [(ratio, 2), (ratio_difference, 4)])
def test_intervals_of_20_documents_contain_the_truth_in_about_95_percent_of_cases(measure, columns):
    generator = np.random.default_rng(2)
    truth = measure(draw_documents(generator, 1_000_000)[:, :columns].sum(axis=0))
    hits = 0
    for case in range(400):
        bootstrap = Bootstrap(20, BootstrapConfig(num_resamples=400, confidence=0.95), seed=case)
        estimate = bootstrap.estimate(draw_documents(generator, 20)[:, :columns], measure)
        hits += estimate.low <= truth <= estimate.high
    assert 0.93 <= hits / 400 <= 0.985


@pytest.mark.parametrize(("fraction", "n_items"), [(0.99, 604), (0.8, 20), (0.95, 20), (0.95, 200)])
def test_intervals_of_proportions_are_exact_and_contain_the_truth_often_enough(fraction, n_items):
    covered = 0.0
    for n_hits in range(n_items + 1):
        found = proportion(np.arange(n_items) < n_hits, 0.95)
        if n_hits % 7 == 0:
            expected = binomtest(n_hits, n_items).proportion_ci(0.95, method="exact")
            assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
        covered += binom.pmf(n_hits, n_items, fraction) * (found.low <= fraction <= found.high)
    assert covered >= 0.95


def test_intervals_of_differences_of_proportions_contain_the_truth_often_enough_however_they_overlap():
    generator = np.random.default_rng(5)
    for both, gained, lost, n_items in [(0.75, 0.1, 0.05, 20), (0.98, 0.01, 0.005, 604), (0.5, 0.3, 0.0, 20)]:
        counts = generator.multinomial(n_items, [both, gained, lost, 1 - both - gained - lost], 2000)
        hits = 0
        for n_both, n_gained, n_lost, n_neither in counts:
            sizes = (n_both, n_gained, n_lost, n_neither)
            first, second = np.repeat((True, True, False, False), sizes), np.repeat((True, False, True, False), sizes)
            found = proportion_difference(first, second, 0.95)
            assert found.low <= found.value <= found.high
            hits += found.low <= gained - lost <= found.high
        assert hits / len(counts) >= 0.93


def test_few_or_equal_items_give_finite_intervals_around_the_value():
    for statistics in ([[3.0, 2.0]], [[3.0, 2.0], [1.0, 2.0]], [[3.0, 2.0]] * 5, [[0.0, 1.0]] * 9 + [[1.0, 1.0]]):
        items = np.array(statistics)
        found = Bootstrap(len(items), CONFIG, seed=0).estimate(items, ratio, within=(0.0, np.inf))
        assert 0 <= found.low <= found.value <= found.high < np.inf
    assert found.high - found.low > 0.2  # one in ten is a wide interval with ten items


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
    statistics = np.stack((np.random.default_rng(4).exponential(size=50), np.ones(50)), axis=1)
    first = Bootstrap(50, CONFIG, seed=0).estimate(statistics, ratio)
    assert Bootstrap(50, CONFIG, seed=0).estimate(statistics, ratio) == first
    assert Bootstrap(50, CONFIG, seed=1).estimate(statistics, ratio) != first


def test_clusters_of_one_item_change_nothing():
    statistics = np.stack((np.random.default_rng(8).exponential(size=50), np.ones(50)), axis=1)
    alone = Bootstrap(50, CONFIG, seed=0, clusters=[f"document {number}" for number in range(50)])
    assert alone.estimate(statistics, ratio) == Bootstrap(50, CONFIG, seed=0).estimate(statistics, ratio)


def test_items_of_one_cluster_that_repeat_each_other_count_as_one_wherever_they_are():
    values = np.random.default_rng(9).normal(5, 1, 40)
    once = Bootstrap(40, CONFIG, seed=0)
    thrice = Bootstrap(120, CONFIG, seed=0, clusters=[*range(40)] * 3)
    for function in (mean, lambda own, bootstrap: mean_difference(own, np.full(len(own), 4.7), bootstrap)):
        expected, found = function(values, once), function(np.tile(values, 3), thrice)
        assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
        assert found.p_value == pytest.approx(expected.p_value)

    def above_five(counts: np.ndarray) -> np.ndarray:
        return counts @ (np.resize(values, counts.shape[1]) > 5) / counts.sum(axis=1)

    expected, found = once.weighted(above_five), thrice.weighted(above_five)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_no_items_are_an_error():
    with pytest.raises(ValueError, match="no test items"):
        Bootstrap(0, CONFIG, seed=0)


def test_the_p_value_of_a_paired_difference_is_about_that_of_the_t_test():
    generator = np.random.default_rng(6)
    for shift in (0.0, 0.1, 0.2, 0.3):
        first, second = generator.normal(-5 + shift, 1, 200), generator.normal(-5, 1, 200)
        found = mean_difference(first, second, Bootstrap(200, CONFIG, seed=0))
        assert found.value == pytest.approx((first - second).mean())
        assert found.p_value == pytest.approx(ttest_1samp(first - second, 0).pvalue, abs=0.03)
        assert (found.p_value < 0.05) == (not found.low <= 0 <= found.high)


def test_the_mean_of_negative_values_has_the_interval_of_their_opposites():
    values = np.random.default_rng(7).exponential(1, 60)
    bootstrap = Bootstrap(60, CONFIG, seed=0)
    above, below = mean(values, bootstrap), mean(-values, bootstrap)
    assert (below.low, below.high) == pytest.approx((-above.high, -above.low))


def test_mcnemars_test_is_exact():
    for n_gained, n_lost in [(0, 0), (3, 3), (9, 2), (0, 6), (30, 12)]:
        hits = np.repeat((True, False, True), (n_gained, n_lost, 20))
        reference = np.repeat((False, True, True), (n_gained, n_lost, 20))
        expected = binomtest(n_gained, n_gained + n_lost).pvalue if n_gained + n_lost else 1.0
        assert mcnemar_p_value(hits, reference) == pytest.approx(expected)
        assert proportion_difference(hits, reference, 0.95).p_value == pytest.approx(expected)
