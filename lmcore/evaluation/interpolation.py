"""A mixture of language models: per token, a weighted mean of the probabilities they give.

The weights are found by expectation maximization (Jelinek and Mercer 1980), one set for each class of
contexts. A class may depend on the context only, never on the token to predict; so the mixture is a
distribution as well.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from lmcore.evaluation.intervals import Floats

Classes = npt.NDArray[np.int64]

LARGEST_GAIN_LEFT = 1e-8
"""Expectation maximization ends when a step gains less than this many nats per token."""
MOST_STEPS = 10_000


@dataclass(frozen=True)
class ContextClasses:
    """Sorts contexts by the models' confidence: one row of ascending bounds between levels per feature."""

    bounds: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(cls, features: Floats, n_levels: int) -> Self:
        """Bounds at the quantiles of features (n_features, n_tokens); equal values fall into one level."""
        quantiles = np.arange(1, n_levels) / n_levels
        bounds = [np.unique(np.quantile(row, quantiles, method="lower")) for row in features]
        # A bound at the largest value would have nothing above it.
        return cls(tuple(tuple(found[found < row.max()].tolist()) for found, row in zip(bounds, features, strict=True)))

    @property
    def n_levels(self) -> tuple[int, ...]:
        """How many levels each feature has."""
        return tuple(len(row) + 1 for row in self.bounds)

    @property
    def n_classes(self) -> int:
        """How many classes there are: every combination of levels."""
        return int(np.prod(self.n_levels))

    def classify(self, features: Floats) -> Classes:
        """The class of every context, int64 (n_tokens,), from features (n_features, n_tokens)."""
        levels = [np.searchsorted(row, values) for row, values in zip(self.bounds, features, strict=True)]
        return np.asarray(np.ravel_multi_index(levels, self.n_levels), dtype=np.int64)


@dataclass(frozen=True)
class Interpolation:
    """Weights (n_classes, n_models), each row summing to 1."""

    weights: Floats

    @classmethod
    def fit(cls, log_probabilities: Floats, classes: Classes, n_classes: int, *, prior_tokens: float) -> Self:
        """Find the weights that make held-out tokens likeliest.

        Args:
            log_probabilities: (n_models, n_tokens) natural logarithms.
            classes: (n_tokens,) the class of each token's context.
            n_classes: how many classes there are.
            prior_tokens: how many tokens the overall weights count for in every class.
        """
        relative, _ = _relative(log_probabilities)
        start = np.full((1, len(relative)), 1.0 / len(relative))
        overall = _maximize(relative, np.zeros_like(classes), start, np.zeros_like(start))
        start = np.repeat(overall, n_classes, axis=0)
        return cls(_maximize(relative, classes, start, prior_tokens * start))

    def log_probabilities(self, log_probabilities: Floats, classes: Classes) -> Floats:
        """The natural logarithm of the mixture's probability of every token: (n_tokens,)."""
        relative, highest = _relative(log_probabilities)
        return np.asarray(np.log((self.weights.T[:, classes] * relative).sum(axis=0)) + highest)


def _relative(log_probabilities: Floats) -> tuple[Floats, Floats]:
    """Probabilities relative to that of the best model, which do not vanish, and the logarithm of that one."""
    highest = log_probabilities.max(axis=0)
    return np.exp(log_probabilities - highest), highest


def _maximize(relative: Floats, classes: Classes, weights: Floats, prior: Floats) -> Floats:
    """Expectation maximization; ``prior`` (n_classes, n_models) are tokens assigned to models beforehand."""
    last = -np.inf
    for _ in range(MOST_STEPS):
        parts = weights.T[:, classes] * relative
        total = parts.sum(axis=0)
        # What rises with every step is the likelihood together with the prior.
        objective = np.log(total).sum() + np.sum(prior * np.log(weights, where=prior > 0, out=np.zeros_like(weights)))
        if objective - last < LARGEST_GAIN_LEFT * len(classes):
            break
        last = objective
        shares = parts / total
        assigned = np.stack([np.bincount(classes, row, minlength=len(weights)) for row in shares], axis=1) + prior
        n_tokens = assigned.sum(axis=1, keepdims=True)
        weights = np.divide(assigned, n_tokens, out=weights.copy(), where=n_tokens > 0)
    return weights
