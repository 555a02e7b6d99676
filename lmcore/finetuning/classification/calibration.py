"""Calibration: makes a classifier as confident as it is right.

Its logits are divided by a temperature, which is fitted on validation examples by the likelihood of their labels
(Guo et al. 2017, "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599). Networks are usually
too confident: their temperature is above 1. The logits of another classifier can be added with a fitted scale. Where a
text may have any number of labels, a bias is fitted too (Platt 1999): a linear classifier finds too few rare labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logsumexp, softmax

from lmcore.errors import UserError

COLDEST, HOTTEST = 0.05, 20.0
"""The range of temperatures: its ends are reached if all, or hardly any, predictions are right."""
MAX_SCALE = 1000.0
MAX_BIAS = 20.0

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.integer] | npt.NDArray[np.bool_]
"""The class of each text, integers (n_texts,); or which labels it has, bool (n_texts, n_classes)."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turns the logits of one or several classifiers into those of calibrated probabilities.

    Attributes:
        temperature: divides the sum.
        scales: the factors of the classifiers after the first one, whose factor is 1.
        bias: added to the divided sum; 0 if each text has one label.
    """

    temperature: float
    scales: tuple[float, ...]
    bias: float

    def calibrated(self, parts: Sequence[npt.NDArray[np.floating]]) -> Floats:
        """The calibrated logits (n_texts, n_classes), given those of each classifier in the same shape."""
        first, *others = (np.asarray(part, np.float64) for part in parts)
        total = first + sum(scale * part for scale, part in zip(self.scales, others, strict=True))
        return np.asarray(total / self.temperature + self.bias)


def fit_calibration(parts: Sequence[npt.NDArray[np.floating]], actual: Labels) -> Calibration:
    """The calibration that makes the labels most likely, with a temperature between :data:`COLDEST` and
    :data:`HOTTEST`. The negative log-likelihood is convex in the inverse temperature, the scales and the bias.

    The bias has a standard normal prior, which only matters if few examples say anything about it.

    Args:
        parts: the logits of each classifier, (n_texts, n_classes).
        actual: the label of each text, or its labels.

    Raises:
        UserError: if there are no texts.
    """
    logits = np.stack([np.asarray(part, np.float64) for part in parts])
    if logits.shape[1] == 0:
        raise UserError("there are no examples to calibrate with: at least one is needed")
    n_logits = logits[0].size
    loss_and_residuals = _of_one_label if actual.ndim == 1 else _of_any_labels

    def objective(values: Floats) -> tuple[float, Floats]:
        loss, residuals = loss_and_residuals(np.tensordot(values[:-1], logits, axes=1) + values[-1], actual)
        bias = values[-1]
        slopes = np.append((logits * residuals).sum(axis=(1, 2)), residuals.sum() + bias / n_logits)
        return loss + bias**2 / (2 * n_logits), slopes

    bounds = [(1.0 / HOTTEST, 1.0 / COLDEST), *[(0.0, MAX_SCALE)] * (len(parts) - 1)]
    bounds.append((0.0, 0.0) if actual.ndim == 1 else (-MAX_BIAS, MAX_BIAS))
    start = np.append(np.ones(len(parts)), 0.0)
    options = {"maxiter": 1_000, "ftol": 1e-15, "gtol": 1e-9}
    found = minimize(objective, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options).x
    inverse, *scales, bias = map(float, found)
    return Calibration(1.0 / inverse, tuple(scale / inverse for scale in scales), bias)


def _of_one_label(logits: Floats, actual: npt.NDArray[np.generic]) -> tuple[float, Floats]:
    """The mean cross-entropy in nats, and its derivative with respect to each logit."""
    rows, classes = np.arange(len(logits)), actual.astype(np.int64)
    residuals = softmax(logits, axis=1)
    residuals[rows, classes] -= 1.0
    return float((logsumexp(logits, axis=1) - logits[rows, classes]).mean()), residuals / len(logits)


def _of_any_labels(logits: Floats, actual: npt.NDArray[np.generic]) -> tuple[float, Floats]:
    """The same for the mean binary cross-entropy."""
    loss = np.logaddexp(0.0, np.where(actual, -logits, logits)).mean()
    return float(loss), (expit(logits) - actual.astype(np.float64)) / logits.size
