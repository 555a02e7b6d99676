"""How well a classifier tells classes apart: accuracy, macro-averaged F1 and the confusion matrix."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from lmcore.evaluation.bootstrap import Bootstrap, Estimate, Floats, ratio_difference

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClassificationMeasures:
    """How good one set of predictions is."""

    accuracy: Estimate
    macro_f1: Estimate

    @classmethod
    def of(cls, actual: Labels, predicted: Labels, n_classes: int, bootstrap: Bootstrap) -> Self:
        """Judge predictions (n_items,) against the actual classes (n_items,), both 0 to ``n_classes - 1``."""
        cells = np.zeros((len(actual), n_classes * n_classes))
        cells[np.arange(len(actual)), actual * n_classes + predicted] = 1.0
        return cls(bootstrap.estimate(cells, accuracy), bootstrap.estimate(cells, macro_f1))


def accuracy_difference(actual: Labels, predicted: Labels, reference: Labels, bootstrap: Bootstrap) -> Estimate:
    """How much more accurate predictions are than those of a reference on the same items."""
    ones = np.ones(len(actual))
    statistics = np.stack((predicted == actual, ones, reference == actual, ones), axis=1)
    return bootstrap.estimate(statistics.astype(np.float64), ratio_difference)


def confusion_matrix(actual: Labels, predicted: Labels, n_classes: int) -> npt.NDArray[np.int64]:
    """How many items of each actual class (rows) went to each predicted class (columns)."""
    return np.bincount(actual * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def accuracy(cells: Floats) -> Floats:
    """The share of items on the diagonal: (...) from flattened confusion matrices (..., n_classes ** 2)."""
    matrices = _matrices(cells)
    return np.asarray(np.trace(matrices, axis1=-2, axis2=-1) / matrices.sum(axis=(-2, -1)))


def macro_f1(cells: Floats) -> Floats:
    """The mean F1 of the classes that occur or are predicted: (...) from (..., n_classes ** 2)."""
    matrices = _matrices(cells)
    hits = np.diagonal(matrices, axis1=-2, axis2=-1)
    sizes = matrices.sum(axis=-1) + matrices.sum(axis=-2)
    occurs = sizes > 0
    scores = np.divide(2 * hits, sizes, out=np.zeros_like(sizes), where=occurs)
    return np.asarray(scores.sum(axis=-1) / occurs.sum(axis=-1))


def _matrices(cells: Floats) -> Floats:
    n_classes = round(cells.shape[-1] ** 0.5)
    return cells.reshape(*cells.shape[:-1], n_classes, n_classes)
