"""Temperature scaling: makes the probabilities of a classifier as confident as it is right.

A temperature T > 0 divides all logits. It is fitted on held-out documents, by the likelihood of their labels; the order
of the classes, and so the accuracy, stays the same.

Source: Guo et al. (2017), "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax

from lmcore.errors import UserError

Floats = npt.NDArray[np.floating]

LONGEST_LOG = 5.0
"""Temperatures between exp(-5) and exp(5) are tried."""


def fit_temperature(logits: Floats, actual: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> float:
    """The temperature under which the labels are most likely.

    Args:
        logits: (n_documents, n_labels).
        actual: the index of each document's label, integers (n_documents,); or which labels each document has, if it
            can have several: bool (n_documents, n_labels).

    Raises:
        UserError: there are no documents.
    """
    if len(logits) == 0:
        raise UserError("there are no documents to fit a temperature to: it needs at least one with a label")
    values = np.asarray(logits, np.float64)

    def loss(log_temperature: float) -> float:
        return _mean_loss(values / np.exp(log_temperature), actual)

    # Convex in 1 / T, so that the only minimum is found.
    found = minimize_scalar(loss, bounds=(-LONGEST_LOG, LONGEST_LOG), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def probabilities(logits: Floats, *, temperature: float = 1.0, is_multi_label: bool = False) -> Floats:
    """The probability of each label, float64 (n_documents, n_labels); rows sum to 1 unless a document can have several
    labels."""
    scaled = np.asarray(logits, np.float64) / temperature
    return np.asarray(expit(scaled) if is_multi_label else softmax(scaled, axis=-1))


def _mean_loss(logits: Floats, actual: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> float:
    """The mean negative log-likelihood of the labels in nats."""
    if actual.ndim == 1:
        return -float(np.take_along_axis(log_softmax(logits, axis=1), actual[:, None].astype(np.int64), axis=1).mean())
    # -log of the sigmoid, for labels that a document has, and of 1 minus the sigmoid for the others.
    return float(np.logaddexp(0.0, np.where(actual, -logits, logits)).mean())
