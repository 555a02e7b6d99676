"""Temperature scaling: makes a classifier as confident as it is right, without changing what it predicts.

Its logits are divided by a temperature, which is fitted on validation examples by the likelihood of their labels.
Networks are usually too confident: their temperature is above 1.

Source: Guo et al. (2017), "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from lmcore.errors import UserError

COLDEST, HOTTEST = 0.05, 20.0
"""The range of temperatures, whose ends are reached if all, or hardly any, predictions are right."""
N_BISECTIONS = 60
WEIGHTS = tuple(number / 20 for number in range(20))
"""Weights of another model that :func:`fit_scale` tries."""

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.integer] | npt.NDArray[np.bool_]
"""The class of each text, integers (n_texts,); or which labels it has, bool (n_texts, n_classes)."""


def fit_temperature(logits: npt.NDArray[np.floating], actual: Labels) -> float:
    """The temperature between :data:`COLDEST` and :data:`HOTTEST` under which the labels are most likely.

    The negative log-likelihood is convex in 1 / T, so that bisection of its derivative finds the only minimum.

    Args:
        logits: (n_texts, n_classes).
        actual: the label of each text, or its labels.

    Raises:
        UserError: if there are no texts.
    """
    if len(logits) == 0:
        raise UserError("there are no examples to fit a temperature to: it needs at least one")
    values = np.asarray(logits, np.float64)
    derivative = _slope_of_one_label if actual.ndim == 1 else _slope_of_any_labels
    low, high = 1.0 / HOTTEST, 1.0 / COLDEST
    if derivative(values, actual, low) >= 0:
        return HOTTEST
    if derivative(values, actual, high) <= 0:
        return COLDEST
    for _ in range(N_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if derivative(values, actual, middle) < 0 else (low, middle)
    return 2.0 / (low + high)


def fit_scale(logits: npt.NDArray[np.floating], others: npt.NDArray[np.floating], actual: Labels) -> float:
    """The factor of another model's logits that makes the labels most likely, once the sum is calibrated.

    Each model is calibrated separately, and weights of the other one from 0 to 0.95 are tried.

    Args:
        logits: (n_texts, n_classes).
        others: those of the other model, of the same shape.
        actual: as for :func:`fit_temperature`.

    Raises:
        UserError: if there are no texts.
    """
    ratio = fit_temperature(logits, actual) / fit_temperature(others, actual)
    scales: list[float] = [ratio * weight / (1.0 - weight) for weight in WEIGHTS]
    return min(scales, key=lambda scale: _calibrated_loss(logits + scale * others, actual))


def _calibrated_loss(logits: npt.NDArray[np.floating], actual: Labels) -> float:
    """The mean cross-entropy in nats at the best temperature, summed over the labels if there are any number."""
    scaled = np.asarray(logits, np.float64) / fit_temperature(logits, actual)
    if actual.ndim == 1:
        own = np.take_along_axis(scaled, actual.astype(np.int64)[:, None], axis=1)[:, 0]
        return float((logsumexp(scaled, axis=1) - own).mean())
    return float(np.logaddexp(0.0, np.where(actual, -scaled, scaled)).sum(axis=1).mean())


def _slope_of_one_label(logits: Floats, actual: npt.NDArray[np.generic], inverse: float) -> float:
    """The derivative of the mean cross-entropy with respect to 1 / T: expected minus actual logit."""
    scaled = logits * inverse
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    expected = (weights * logits).sum(axis=1) / weights.sum(axis=1)
    own = np.take_along_axis(logits, actual.astype(np.int64)[:, None], axis=1)[:, 0]
    return float((expected - own).mean())


def _slope_of_any_labels(logits: Floats, actual: npt.NDArray[np.generic], inverse: float) -> float:
    """The same for the mean binary cross-entropy."""
    probabilities = 0.5 * (1.0 + np.tanh(0.5 * inverse * logits))  # the sigmoid, without overflow
    return float(((probabilities - actual.astype(np.float64)) * logits).mean())
