"""Intervals by resampling: a figure is a function of sums over test items, and so is each of its resamples.

Source: Efron and Tibshirani (1993), "An Introduction to the Bootstrap"; percentile intervals.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from lmcore.evaluation.config import BootstrapConfig

Floats = npt.NDArray[np.float64]
Measure = Callable[[Floats], Floats]
"""From sums of statistics (..., n_statistics) to the figure (...)."""


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval around it."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """The three numbers by name, as they stand in ``metrics.json``."""
        return asdict(self)


class Bootstrap:
    """Resamples of test items, drawn once, so that figures of several models can be compared pairwise."""

    def __init__(self, n_items: int, config: BootstrapConfig, seed: int) -> None:
        if n_items < 1:
            raise ValueError("There are no test items to resample: the evaluation needs at least one.")
        generator = np.random.default_rng(seed)
        shares = np.full(n_items, 1.0 / n_items)
        self._counts = generator.multinomial(n_items, shares, size=config.n_resamples).astype(np.float64)
        self._tails = ((1.0 - config.confidence) / 2, (1.0 + config.confidence) / 2)

    def estimate(self, statistics: Floats, measure: Measure) -> Estimate:
        """The figure over all items, between the percentiles of the figures over the resamples.

        Args:
            statistics: (n_items, n_statistics); those of two models side by side give a paired comparison.
            measure: the figure as a function of the statistics' sums over items.
        """
        value = measure(statistics.sum(axis=0))
        low, high = np.quantile(measure(self._counts @ statistics), self._tails)
        return Estimate(float(value), float(low), float(high))


def ratio(sums: Floats) -> Floats:
    """The first sum by the second."""
    return np.asarray(sums[..., 0] / sums[..., 1])


def ratio_difference(sums: Floats) -> Floats:
    """The first sum by the second, less the third by the fourth: one model against another."""
    return ratio(sums[..., :2]) - ratio(sums[..., 2:])
