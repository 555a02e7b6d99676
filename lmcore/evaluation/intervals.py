"""Confidence intervals: by bootstrap, for metrics that are functions of sums over test items; exact, for proportions.

The bootstrap interval is symmetric and studentized: in each resample, the metric's distance from its value on all items
is divided by its own standard error there. With few items of very different sizes, percentiles of the resampled metric
would be too narrow: with 20 documents, intervals of 95 % confidence cover the true value in 84 to 89 % of cases.
Metrics that are not functions of sums, such as the area under a curve, have the standard error of the resamples, on the
scale of log-odds.

Proportions close to 0 or 1 need other intervals. That of Clopper and Pearson never covers less than the confidence;
that of Bonett and Price is for the difference of two proportions of the same items.

The p value of a difference is that of the same studentized bootstrap, and of McNemar's exact test for proportions.

Items of one cluster, such as the questions about one document, are more alike than others, and count for less than as
many independent items. So clusters are resampled, each with all its items (the pairs cluster bootstrap).

Sources: Cameron, Gelbach and Miller (2008), "Bootstrap-Based Improvements for Inference with Clustered Errors",
https://doi.org/10.1162/rest.90.3.414; Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapters 11, 12
and 16; Hall (1988), "Theoretical Comparison of Bootstrap Confidence Intervals",
https://doi.org/10.1214/aos/1176350933; Clopper and Pearson (1934), https://doi.org/10.1093/biomet/26.4.404; Bonett and
Price (2012), https://doi.org/10.3102/1076998611411915; McNemar (1947), https://doi.org/10.1007/BF02295996.
"""

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, betaincinv, expit, logit, ndtr, ndtri, stdtr, stdtrit

from lmcore.config.evaluate import BootstrapConfig
from lmcore.errors import UserError
from lmcore.evaluation.result import Estimate

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Measure = Callable[[Floats], Floats]
"""Maps sums of non-negative statistics (..., n_statistics) to the metric (...)."""

RELATIVE_STEP = 1e-4
"""Step of the numeric gradient, relative to a sum."""
NEGLIGIBLE = 1e-9
"""A standard error counts as zero if it is this much smaller than the one on all items."""
CELLS_AT_ONCE = 4_000_000
MAX_RESAMPLES_OF_ERRORS = 300
"""A standard error needs fewer resamples than the ends of an interval."""


class Bootstrap:
    """Resamples of test items, drawn once, so that the metrics of several models are compared in pairs.

    Args:
        n_items: how many items there are.
        config: resamples and confidence.
        seed: the seed of the resamples.
        clusters: what each item belongs to, such as the document of a question; None: all items are independent.

    Attributes:
        clusters: the index of each item's cluster, int64 (n_items,), numbered as they first occur.
        n_clusters: how many there are.
    """

    def __init__(
        self, n_items: int, config: BootstrapConfig, seed: int, clusters: Sequence[Hashable] | None = None
    ) -> None:
        if n_items < 1:
            raise UserError("there are no test items to resample: the evaluation needs at least one")
        self.clusters = np.arange(n_items) if clusters is None else _numbered(clusters)
        self.n_items, self.n_clusters, self.confidence = n_items, int(self.clusters.max()) + 1, config.confidence
        generator = np.random.default_rng(seed)
        probabilities = np.full(self.n_clusters, 1.0 / self.n_clusters)
        counts = generator.multinomial(self.n_clusters, probabilities, size=config.num_resamples)
        self._counts = counts.astype(np.uint16)

    @property
    def is_clustered(self) -> bool:
        """Whether several items belong to one cluster."""
        return self.n_clusters < self.n_items

    def estimate(
        self,
        statistics: Floats,
        measure: Measure,
        *,
        within: tuple[float, float] = (-np.inf, np.inf),
        gradient: Measure | None = None,
    ) -> Estimate:
        """The metric on all items with its interval; for a single cluster the interval has no width.

        Args:
            statistics: non-negative (n_items, n_statistics); those of two models side by side give a paired
                comparison.
            measure: the metric as a function of the sums of the statistics.
            within: the lowest and the highest possible value of the metric.
            gradient: the derivatives (..., n_statistics) of the metric with respect to the sums; computed numerically
                if not given.
        """
        return self._estimate(statistics, measure, within, gradient, is_difference=False)

    def difference(
        self,
        statistics: Floats,
        measure: Measure,
        *,
        within: tuple[float, float] = (-np.inf, np.inf),
        gradient: Measure | None = None,
    ) -> Estimate:
        """The same for a metric that is the difference between two models, with its p value."""
        return self._estimate(statistics, measure, within, gradient, is_difference=True)

    def weighted(self, measure: Measure) -> Estimate:
        """A metric between 0 and 1 that is not a function of sums, with the standard error of its resamples.

        Args:
            measure: the metric as a function of how often each item counts: (n,) from float64 (n, n_items). NaN where
                it is not defined.
        """
        value, error = self._value_and_error(measure)
        if not 0.0 < value < 1.0:
            ends = proportion(np.full(self.n_clusters, value >= 1.0), self.confidence)
            return Estimate(value, min(value, ends.low), max(value, ends.high))
        half = float(ndtri((1 + self.confidence) / 2)) * error / (value * (1 - value))
        return Estimate(value, float(expit(logit(value) - half)), float(expit(logit(value) + half)))

    def weighted_difference(self, measure: Measure) -> Estimate:
        """The difference between two such metrics, with its p value; arguments as for :meth:`weighted`."""
        value, error = self._value_and_error(measure)
        half = float(ndtri((1 + self.confidence) / 2)) * error
        p_value = 2 * float(ndtr(-abs(value) / error)) if error > 0 else float(value == 0)
        return Estimate(value, max(value - half, -1.0), min(value + half, 1.0), p_value)

    def _value_and_error(self, measure: Measure) -> tuple[float, float]:
        value = float(measure(np.ones((1, self.n_items)))[0])
        counts = self._counts[:MAX_RESAMPLES_OF_ERRORS]
        rows = max(1, CELLS_AT_ONCE // self.n_items)
        parts = [
            measure(counts[start : start + rows, self.clusters].astype(np.float64))
            for start in range(0, len(counts), rows)
        ]
        found = np.concatenate(parts)
        return value, float(np.std(found[~np.isnan(found)])) if (~np.isnan(found)).any() else 0.0

    def _estimate(
        self,
        statistics: Floats,
        measure: Measure,
        within: tuple[float, float],
        gradient: Measure | None,
        *,
        is_difference: bool,
    ) -> Estimate:
        sums = statistics.sum(axis=0)
        value = float(measure(sums))
        if self.n_clusters == 1:
            return Estimate(value, value, value, 1.0 if is_difference else None)
        derive = gradient or (lambda points: _numeric_gradient(measure, points))
        of_clusters = self._summed(statistics)
        without_one = measure(sums - of_clusters)
        error = float(np.sqrt((self.n_clusters - 1) * np.var(without_one)))
        distances = self._distances(of_clusters, measure, derive, value)
        half = self._critical_value(distances) * error
        low, high = min(value, max(value - half, within[0])), max(value, min(value + half, within[1]))
        return Estimate(value, low, high, self._p_value(distances, value, error) if is_difference else None)

    def _summed(self, statistics: Floats) -> Floats:
        """The sums of the statistics of each cluster, (n_clusters, n_statistics)."""
        if not self.is_clustered:
            return statistics
        found = np.zeros((self.n_clusters, statistics.shape[1]))
        np.add.at(found, self.clusters, statistics)
        return found

    def _critical_value(self, distances: Floats) -> float:
        """Half the width of the interval in standard errors: at least that of Student's t."""
        least = float(stdtrit(self.n_clusters - 1, (1.0 + self.confidence) / 2))
        found = float(np.quantile(distances, self.confidence, method="higher"))
        return max(found, least) if np.isfinite(found) else least

    def _p_value(self, distances: Floats, value: float, error: float) -> float:
        """How often a distance is at least that of zero from the value: at least Student's probability of it."""
        if error == 0.0:
            return float(value == 0.0)
        distance = abs(value) / error
        least = 2 * float(stdtr(self.n_clusters - 1, -distance))
        if not np.isfinite(np.quantile(distances, self.confidence, method="higher")):
            return least
        return max(least, (1 + int(np.count_nonzero(distances >= distance))) / (1 + len(distances)))

    def _distances(self, statistics: Floats, measure: Measure, gradient: Measure, value: float) -> Floats:
        """How far the metric of each resample is from that of all items, in its own standard errors, (n_resamples,)."""
        negligible = NEGLIGIBLE * float(_standard_errors(np.ones((1, self.n_clusters)), statistics, gradient)[0])
        rows = max(1, CELLS_AT_ONCE // self.n_clusters)
        distances = []
        for start in range(0, len(self._counts), rows):
            counts = self._counts[start : start + rows].astype(np.float64)
            moved = np.abs(measure(counts @ statistics) - value)
            errors = _standard_errors(counts, statistics, gradient)
            is_known = errors > negligible
            # A resample of identical items has no standard error: its distance is infinite, or zero if it did not move.
            unknown = np.where(moved > negligible, np.inf, 0.0)
            distances.append(np.where(is_known, moved / np.where(is_known, errors, 1.0), unknown))
        return np.concatenate(distances)


def mean(values: Floats, bootstrap: Bootstrap, within: tuple[float, float] = (-np.inf, np.inf)) -> Estimate:
    """The mean of one value per item, (n_items,), with its interval."""
    return bootstrap.estimate(_with_ones(values), ratio, within=within, gradient=_ratio_gradient)


def mean_difference(values: Floats, reference: Floats, bootstrap: Bootstrap) -> Estimate:
    """The mean of one value per item, (n_items,), minus that of a reference on the same items."""
    return bootstrap.difference(_with_ones(values - reference), ratio, gradient=_ratio_gradient)


def ratio(sums: Floats) -> Floats:
    """The first sum divided by the second; zero if the second is zero."""
    part, whole = sums[..., 0], sums[..., 1]
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def ratio_difference(sums: Floats) -> Floats:
    """The ratio of the first two sums minus that of the last two: one model against another."""
    return ratio(sums[..., :2]) - ratio(sums[..., 2:])


def proportion(hits: Flags, confidence: float) -> Estimate:
    """The fraction of items that are true, bool (n_items,), with the interval of Clopper and Pearson."""
    low, high = exact_interval(n_hits := int(np.count_nonzero(hits)), len(hits), confidence)
    return Estimate(n_hits / len(hits), low, high)


def exact_interval(n_hits: float, n_items: float, confidence: float) -> tuple[float, float]:
    """The ends of the interval of Clopper and Pearson, also for numbers of items that are not whole."""
    tail = (1 - confidence) / 2
    low = 0.0 if n_hits == 0 else float(betaincinv(n_hits, n_items - n_hits + 1, tail))
    high = 1.0 if n_hits == n_items else float(betaincinv(n_hits + 1, n_items - n_hits, 1 - tail))
    return low, high


def proportion_difference(hits: Flags, reference: Flags, confidence: float) -> Estimate:
    """The fraction of ``hits`` minus that of a reference on the same items, with the interval of Bonett and Price and
    the p value of McNemar's exact test."""
    n, z = len(hits), float(ndtri((1 + confidence) / 2))
    gained = (np.count_nonzero(hits & ~reference) + 1) / (n + 2)
    lost = (np.count_nonzero(reference & ~hits) + 1) / (n + 2)
    center, half = gained - lost, z * math.sqrt((gained + lost - (gained - lost) ** 2) / (n + 2))
    value = float(hits.mean() - reference.mean())
    low, high = min(value, max(-1.0, center - half)), max(value, min(1.0, center + half))
    return Estimate(value, low, high, mcnemar_p_value(hits, reference))


def mcnemar_p_value(hits: Flags, reference: Flags) -> float:
    """The two-sided p value of McNemar's exact test: of the items on which two systems differ, each is as likely to be
    right."""
    n_gained, n_lost = int(np.count_nonzero(hits & ~reference)), int(np.count_nonzero(reference & ~hits))
    return min(1.0, 2 * float(bdtr(min(n_gained, n_lost), n_gained + n_lost, 0.5)))


def _numbered(values: Sequence[Hashable]) -> npt.NDArray[np.int64]:
    """The index of each value among the different ones, in the order in which they first occur."""
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.array([numbers[value] for value in values], np.int64)


def _with_ones(values: Floats) -> Floats:
    return np.stack((values, np.ones(len(values))), axis=1)


def _ratio_gradient(sums: Floats) -> Floats:
    part, whole = sums[..., 0], sums[..., 1]
    return np.stack((1 / whole, -part / whole**2), axis=-1)


def _standard_errors(counts: Floats, statistics: Floats, gradient: Measure) -> Floats:
    """The metric's standard error in each resample (n_resamples,), by the infinitesimal jackknife (Jaeckel 1972)."""
    influences = gradient(counts @ statistics) @ statistics.T
    means = (counts * influences).sum(axis=1, keepdims=True) / counts.sum(axis=1, keepdims=True)
    return np.asarray(np.sqrt((counts * (influences - means) ** 2).sum(axis=1)))


def _numeric_gradient(measure: Measure, sums: Floats) -> Floats:
    """Derivatives (..., n_statistics); zero where a sum is zero, since then no item contributes to it."""
    gradient = np.zeros_like(sums)
    for index in range(sums.shape[-1]):
        step = RELATIVE_STEP * sums[..., index]
        above, below = sums.copy(), sums.copy()
        above[..., index] += step
        below[..., index] -= step
        rise = measure(above) - measure(below)
        gradient[..., index] = np.divide(rise, 2 * step, out=np.zeros_like(step), where=step > 0)
    return gradient
