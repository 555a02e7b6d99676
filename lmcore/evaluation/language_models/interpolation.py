"""Interpolation of language models: for each token, a weighted mean of the probabilities that they predict.

The weights are found by expectation maximization (Jelinek and Mercer 1980), one set for each class of contexts. A class
depends on the context only, never on the token to predict, so that the interpolation is a distribution as well.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from lmcore.evaluation.intervals import Floats

Classes = npt.NDArray[np.int64]

MIN_GAIN = 1e-8
"""Expectation maximization stops when a step gains less than this many nats per token."""
MAX_STEPS = 10_000


@dataclass(frozen=True)
class ContextClasses:
    """Sorts contexts into classes by features such as a model's confidence.

    Attributes:
        bounds: for each feature, the ascending bounds between its levels.
    """

    bounds: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(cls, features: Floats, n_levels: int) -> Self:
        """Bounds at the quantiles of features (n_features, n_tokens); equal values get the same level."""
        quantiles = np.arange(1, n_levels) / n_levels
        bounds = [np.unique(np.quantile(values, quantiles, method="lower")) for values in features]
        # No value would be above a bound at the largest value.
        return cls(
            tuple(tuple(found[found < values.max()].tolist()) for found, values in zip(bounds, features, strict=True))
        )

    @property
    def n_levels(self) -> tuple[int, ...]:
        """Number of levels of each feature."""
        return tuple(len(own) + 1 for own in self.bounds)

    @property
    def n_classes(self) -> int:
        """Number of classes: every combination of levels."""
        return int(np.prod(self.n_levels))

    def classify(self, features: Floats) -> Classes:
        """The class of every context, int64 (n_tokens,), from features (n_features, n_tokens)."""
        levels = [np.searchsorted(own, values) for own, values in zip(self.bounds, features, strict=True)]
        return np.asarray(np.ravel_multi_index(levels, self.n_levels), dtype=np.int64)


@dataclass(frozen=True)
class Interpolation:
    """Weights of models by class of context.

    Attributes:
        weights: (n_classes, n_models); the weights of each class sum to 1.
    """

    weights: Floats

    @classmethod
    def fit(cls, log_probabilities: Floats, classes: Classes, n_classes: int, *, prior_tokens: float) -> Self:
        """Find the weights that maximize the likelihood of held-out tokens.

        Args:
            log_probabilities: natural logarithms, (n_models, n_tokens).
            classes: the class of each token's context, (n_tokens,).
            n_classes: number of classes.
            prior_tokens: how many tokens the overall weights count for in each class.
        """
        relative, _ = _relative(log_probabilities)
        start = np.full((1, len(relative)), 1.0 / len(relative))
        overall = _maximize(relative, np.zeros_like(classes), start, np.zeros_like(start))
        start = np.repeat(overall, n_classes, axis=0)
        return cls(_maximize(relative, classes, start, prior_tokens * start))

    def log_probabilities(self, log_probabilities: Floats, classes: Classes) -> Floats:
        """The natural logarithm of every token's interpolated probability, (n_tokens,)."""
        relative, highest = _relative(log_probabilities)
        return np.asarray(np.log((self.weights.T[:, classes] * relative).sum(axis=0)) + highest)


def _relative(log_probabilities: Floats) -> tuple[Floats, Floats]:
    """Probabilities relative to the highest among the models, so that none underflows, and the log of the highest."""
    highest = log_probabilities.max(axis=0)
    return np.exp(log_probabilities - highest), highest


def _maximize(relative: Floats, classes: Classes, weights: Floats, prior: Floats) -> Floats:
    """Expectation maximization; ``prior`` (n_classes, n_models) holds tokens assigned to the models beforehand."""
    last = -np.inf
    for _ in range(MAX_STEPS):
        parts = weights.T[:, classes] * relative
        total = parts.sum(axis=0)
        # Each step increases the likelihood and the prior taken together.
        objective = np.log(total).sum() + np.sum(prior * np.log(weights, where=prior > 0, out=np.zeros_like(weights)))
        if objective - last < MIN_GAIN * len(classes):
            break
        last = objective
        posteriors = parts / total
        assigned = np.stack([np.bincount(classes, own, minlength=len(weights)) for own in posteriors], axis=1) + prior
        n_tokens = assigned.sum(axis=1, keepdims=True)
        weights = np.divide(assigned, n_tokens, out=weights.copy(), where=n_tokens > 0)
    return weights
