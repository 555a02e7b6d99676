"""The kinds of metrics of texts: each gives its value with an interval, and the difference from another system's."""

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from lmcore.evaluation.clustered_proportions import clustered_difference, clustered_proportion
from lmcore.evaluation.held_out_contamination import Indices
from lmcore.evaluation.intervals import Bootstrap, Flags, Floats, Measure
from lmcore.evaluation.result import Estimate


class TextMetric(Protocol):
    """A metric of a system's texts."""

    @property
    def signature(self) -> str:
        """Exactly how the metric is computed."""

    @property
    def value(self) -> float:
        """The metric of all texts."""

    def estimate(self, bootstrap: Bootstrap) -> Estimate:
        """The metric with its interval."""

    def difference(self, reference: Self, bootstrap: Bootstrap) -> Estimate:
        """This metric minus that of another system's texts for the same items."""

    def select(self, indices: Indices) -> Self:
        """The metric of the texts with the given indices."""


@dataclass(frozen=True)
class MetricOfSums:
    """A metric that is a function of sums of statistics of the texts.

    Attributes:
        statistics: non-negative, (n_texts, n_statistics).
        measure: the metric as a function of their sums.
        highest: the highest possible value; the lowest is 0.
        signature: how exactly the metric is computed.
    """

    statistics: Floats
    measure: Measure
    highest: float
    signature: str

    @property
    def value(self) -> float:
        """See :class:`TextMetric`."""
        return float(self.measure(self.statistics.sum(axis=0)))

    def estimate(self, bootstrap: Bootstrap) -> Estimate:
        """See :class:`TextMetric`."""
        return bootstrap.estimate(self.statistics, self.measure, within=(0.0, self.highest))

    def difference(self, reference: Self, bootstrap: Bootstrap) -> Estimate:
        """See :class:`TextMetric`."""
        n_statistics = self.statistics.shape[1]
        return bootstrap.difference(
            np.concatenate((self.statistics, reference.statistics), axis=1),
            lambda sums: self.measure(sums[..., :n_statistics]) - self.measure(sums[..., n_statistics:]),
            within=(-self.highest, self.highest),
        )

    def select(self, indices: Indices) -> Self:
        """See :class:`TextMetric`."""
        return replace(self, statistics=self.statistics[indices])


@dataclass(frozen=True)
class ProportionOfTexts:
    """The fraction of texts that are right.

    Attributes:
        hits: which are, bool (n_texts,).
        signature: how exactly the metric is computed.
    """

    hits: Flags
    signature: str

    @property
    def value(self) -> float:
        """See :class:`TextMetric`."""
        return float(self.hits.mean())

    def estimate(self, bootstrap: Bootstrap) -> Estimate:
        """See :class:`TextMetric`."""
        return clustered_proportion(self.hits, bootstrap)

    def difference(self, reference: Self, bootstrap: Bootstrap) -> Estimate:
        """See :class:`TextMetric`."""
        return clustered_difference(self.hits, reference.hits, bootstrap)

    def select(self, indices: Indices) -> Self:
        """See :class:`TextMetric`."""
        return replace(self, hits=self.hits[indices])


@dataclass(frozen=True)
class DistinctFraction:
    """How many different n-grams all texts together have, divided by all n-grams: distinct-n.

    It is not a function of sums, and a resample with repeated texts has fewer different n-grams than as many new texts.
    So its standard error is that of the jackknife (Efron and Tibshirani 1993, chapter 11), which leaves out one text,
    or all texts of one cluster.

    Attributes:
        n_grams: those of each text.
        signature: how exactly the metric is computed.
    """

    n_grams: tuple[tuple[tuple[str, ...], ...], ...]
    signature: str

    @property
    def value(self) -> float:
        """See :class:`TextMetric`."""
        return self._values(np.arange(len(self.n_grams)))[0]

    def estimate(self, bootstrap: Bootstrap) -> Estimate:
        """See :class:`TextMetric`."""
        value, without_one = self._values(bootstrap.clusters)
        half, _ = _jackknife(value, without_one, bootstrap.confidence)
        return Estimate(value, max(0.0, value - half), min(1.0, value + half))

    def difference(self, reference: Self, bootstrap: Bootstrap) -> Estimate:
        """See :class:`TextMetric`."""
        value, without_one = self._values(bootstrap.clusters)
        other, other_without_one = reference._values(bootstrap.clusters)
        half, p_value = _jackknife(value - other, without_one - other_without_one, bootstrap.confidence)
        return Estimate(value - other, value - other - half, value - other + half, p_value)

    def select(self, indices: Indices) -> Self:
        """See :class:`TextMetric`."""
        return replace(self, n_grams=tuple(self.n_grams[index] for index in indices))

    def _values(self, clusters: npt.NDArray[np.int64]) -> tuple[float, Floats]:
        """The metric of all texts, and without the texts of each cluster in turn, (n_clusters,)."""
        n_clusters = int(clusters.max()) + 1
        owners: dict[tuple[str, ...], int] = {}  # the only cluster that has an n-gram, or -1
        for cluster, own in zip(clusters.tolist(), self.n_grams, strict=True):
            for n_gram in own:
                owners[n_gram] = cluster if owners.get(n_gram, cluster) == cluster else -1
        counts = np.bincount(clusters, [len(own) for own in self.n_grams], minlength=n_clusters)
        only_here = np.bincount([cluster for cluster in owners.values() if cluster >= 0], minlength=n_clusters)
        rest = counts.sum() - counts
        without_one = np.divide(len(owners) - only_here, rest, out=np.zeros(n_clusters), where=rest > 0)
        return len(owners) / max(counts.sum(), 1.0), without_one


def _jackknife(value: float, without_one: Floats, confidence: float) -> tuple[float, float]:
    """Half the width of the interval by Student's t, and the p value of a value of zero."""
    n = len(without_one)
    if n < 2:
        return 0.0, 1.0
    error = float(np.sqrt((n - 1) * np.var(without_one)))
    p_value = 2 * float(stdtr(n - 1, -abs(value) / error)) if error > 0 else float(value == 0)
    return float(stdtrit(n - 1, (1 + confidence) / 2)) * error, p_value
