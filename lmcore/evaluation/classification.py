"""How well a classifier tells classes apart: accuracy, macro-averaged F1 and the confusion matrix."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from lmcore.evaluation.intervals import Bootstrap, Estimate, Floats
from lmcore.evaluation.proportions import proportion

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClassificationMeasures:
    """How good one set of predictions is."""

    accuracy: Estimate
    macro_f1: Estimate

    @classmethod
    def of(cls, actual: Labels, predicted: Labels, n_classes: int, bootstrap: Bootstrap) -> Self:
        """Scorer predictions (n_items,) against the actual classes (n_items,), both 0 to ``n_classes - 1``."""
        of_each = np.eye(n_classes)
        is_right = actual == predicted
        statistics = np.concatenate((of_each[actual] * is_right[:, None], of_each[actual] + of_each[predicted]), axis=1)
        return cls(
            proportion(is_right, bootstrap.confidence),
            bootstrap.estimate(statistics, macro_f1, within=(0.0, 1.0), gradient=_macro_f1_gradient),
        )


def confusion_matrix(actual: Labels, predicted: Labels, n_classes: int) -> npt.NDArray[np.int64]:
    """How many items of each actual class (rows) went to each predicted class (columns)."""
    return np.bincount(actual * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def macro_f1(sums: Floats) -> Floats:
    """The mean F1 of the classes that occur or are predicted: (...) from (..., 2 * n_classes).

    Args:
        sums: per class the items that are rightly predicted, and then, again per class, how many it has and how many
            are predicted to be of it, added up.
    """
    hits, sizes = np.split(sums, 2, axis=-1)
    occurs = sizes > 0
    scores = np.divide(2 * hits, sizes, out=np.zeros_like(sizes), where=occurs)
    return np.asarray(scores.sum(axis=-1) / occurs.sum(axis=-1))


def _macro_f1_gradient(sums: Floats) -> Floats:
    hits, sizes = np.split(sums, 2, axis=-1)
    occurs = sizes > 0
    by_hits = np.divide(2.0, sizes, out=np.zeros_like(sizes), where=occurs)
    gradient = np.concatenate((by_hits, -by_hits * np.divide(hits, sizes, out=np.zeros_like(sizes), where=occurs)), -1)
    return np.asarray(gradient / occurs.sum(axis=-1, keepdims=True))
