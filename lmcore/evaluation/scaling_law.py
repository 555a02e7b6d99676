"""The loss as a function of parameters N and training tokens D: ``E + A / N^alpha + B / D^beta``.

Fitted as in Hoffmann et al. 2022 (https://arxiv.org/abs/2203.15556, approach 3): the Huber loss, with a threshold of
1e-3, of the difference of logarithms, minimized by L-BFGS from a grid of starting points.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.optimize import minimize

from lmcore.errors import UserError
from lmcore.evaluation.intervals import Floats
from lmcore.evaluation.result import Estimate

HUBER_DELTA = 1e-3
LOWER = (-12.0, -12.0, -12.0, 0.0, 0.0)
UPPER = (4.0, 4.0, 4.0, 3.0, 3.0)
"""Bounds of the logarithms of the three terms at the mean size and the mean number of tokens, of alpha and of beta."""
STARTS = tuple(itertools.product((-2.0, 0.0), (-2.0, 0.0), (-1.0, 1.0), (0.2, 0.6), (0.2, 0.6)))
COEFFICIENTS = ("E", "A", "B", "alpha", "beta")
N_COEFFICIENTS = len(COEFFICIENTS)


@dataclass(frozen=True)
class Point:
    """A measured loss.

    Attributes:
        n_parameters: weights of the model.
        n_tokens: tokens that it was trained on.
        loss: nats per token.
    """

    n_parameters: float
    n_tokens: float
    loss: float


@dataclass(frozen=True)
class ScalingLaw:
    """The coefficients of the law."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def predict(self, n_parameters: float, n_tokens: float) -> float:
        """The loss of a model, in nats per token."""
        return float(self.E + self.A / n_parameters**self.alpha + self.B / n_tokens**self.beta)

    def as_json(self) -> dict[str, float]:
        """The coefficients by name."""
        return asdict(self)


@dataclass(frozen=True)
class FittedLaw:
    """A law, and the laws of bootstrap resamples, which give the intervals.

    The points of one training are not independent, and five sizes are few: the intervals say how well the points
    determine the law, not how far it holds.
    """

    law: ScalingLaw
    resampled: tuple[ScalingLaw, ...]
    confidence: float

    def coefficient(self, name: str) -> Estimate:
        """One of the coefficients."""
        return self._estimate(getattr(self.law, name), [getattr(law, name) for law in self.resampled])

    def predict(self, n_parameters: float, n_tokens: float) -> Estimate:
        """The loss of a model."""
        values = [law.predict(n_parameters, n_tokens) for law in self.resampled]
        return self._estimate(self.law.predict(n_parameters, n_tokens), values)

    def _estimate(self, value: float, values: Sequence[float]) -> Estimate:
        tail = (1.0 - self.confidence) / 2.0
        low, high = np.quantile([*values, value], (tail, 1.0 - tail))
        return Estimate(value, min(value, float(low)), max(value, float(high)))


def fit_scaling_law(points: Sequence[Point], *, n_resamples: int, confidence: float, seed: int) -> FittedLaw:
    """Fit the law to points of several sizes.

    Args:
        points: measured losses.
        n_resamples: bootstrap resamples of the points.
        confidence: of the intervals, such as 0.95.
        seed: of the resamples.

    Raises:
        UserError: if there are too few points, or only points of one size.
    """
    if len(points) < N_COEFFICIENTS or len({point.n_parameters for point in points}) < 2:
        raise UserError(f"{len(points)} losses are too few for a scaling law: train more sizes, validate more often")
    table = np.log([[point.n_parameters, point.n_tokens, point.loss] for point in points])
    center = np.array([*table[:, :2].mean(axis=0), 0.0])  # the optimization is well conditioned around it
    table -= center
    best = min((_fit(table, start) for start in STARTS), key=lambda found: found[0])[1]
    generator = np.random.default_rng(seed)
    resampled: list[ScalingLaw] = []
    while len(resampled) < n_resamples:
        chosen = table[generator.integers(len(table), size=len(table))]
        if len(set(chosen[:, 0])) > 1:
            resampled.append(_law(_fit(chosen, tuple(best))[1], center))
    return FittedLaw(_law(best, center), tuple(resampled), confidence)


def _fit(table: Floats, start: Sequence[float]) -> tuple[float, Floats]:
    """The cost and the values of a minimum near ``start``; ``table`` has logarithms around their center."""
    found = minimize(
        _cost_and_gradient,
        start,
        args=(table,),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(LOWER, UPPER, strict=True)),
        options={"maxiter": 2000, "ftol": 1e-13, "gtol": 1e-9},
    )
    return float(found.fun), found.x


def _cost_and_gradient(values: Floats, table: Floats) -> tuple[float, Floats]:
    """The Huber loss of the logarithms, divided by its threshold."""
    log_n, log_d, log_loss = table.T
    a, b, e, alpha, beta = values
    terms = np.stack((a - alpha * log_n, b - beta * log_d, np.full_like(log_n, e)))
    predicted = np.logaddexp(np.logaddexp(terms[0], terms[1]), terms[2])
    shares = np.exp(terms - predicted)
    errors = predicted - log_loss
    clipped = np.clip(errors, -HUBER_DELTA, HUBER_DELTA)
    costs = clipped * (errors - clipped / 2.0)
    slopes = clipped * shares
    gradient = np.array([*slopes.sum(axis=1), -(slopes[0] @ log_n), -(slopes[1] @ log_d)])
    return float(costs.sum() / HUBER_DELTA), gradient / HUBER_DELTA


def _law(values: Floats, center: Floats) -> ScalingLaw:
    a, b, e, alpha, beta = map(float, values)
    log_a, log_b = a + alpha * float(center[0]), b + beta * float(center[1])
    return ScalingLaw(E=math.exp(e), A=math.exp(log_a), B=math.exp(log_b), alpha=alpha, beta=beta)
