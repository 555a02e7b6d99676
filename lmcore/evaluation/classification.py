"""How well a classifier separates classes: accuracy, macro-averaged F1 and the confusion matrix."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.held_out_contamination import Indices, measure_all_and_clean
from lmcore.evaluation.intervals import Bootstrap, Flags, Floats, proportion, proportion_difference
from lmcore.evaluation.names import MODEL
from lmcore.evaluation.result import Estimate, Metrics, pair_name

Labels = npt.NDArray[np.int64]

MAX_UNTRAINED_SHOWN = 10
"""Number of classes without training documents that have a row of their own in the confusion matrix."""
OTHERS = "other classes that were not trained"


@dataclass(frozen=True)
class ClassifiedDocuments:
    """Labeled test documents and what the classifier and its baselines predict for them.

    Attributes:
        trained: the classes that the classifier knows.
        labels: the label of each document, of any class.
        predicted: predicted labels by model, one for each document.
    """

    trained: Sequence[str]
    labels: Sequence[str]
    predicted: Mapping[str, Sequence[str]]

    @property
    def untrained(self) -> tuple[str, ...]:
        """Classes of test documents that the classifier does not know, the most frequent first."""
        return untrained_classes(self.trained, self.labels)

    def evaluate(self, is_clean: Flags, config: EvaluateConfig) -> Metrics:
        """Accuracy and macro F1 of each model; documents of unknown classes count as wrong.

        Args:
            is_clean: which documents share nothing with the training split, bool (n_documents,).
            config: seed and confidence intervals.
        """
        untrained = set(self.untrained)
        is_untrained = np.array([label in untrained for label in self.labels], bool)
        actual = self._numbers(self.labels)
        predicted = {name: self._numbers(labels) for name, labels in self.predicted.items()}

        def measure(indices: Indices) -> Metrics:
            chosen = {name: own[indices] for name, own in predicted.items()}
            return _measure(actual[indices], chosen, is_untrained[indices], config)

        return measure_all_and_clean(is_clean, measure)

    def confusion(self) -> dict[str, Any]:
        """The classifier's confusion matrix as JSON values: ``labels`` of rows and columns, ``confusion``, and which
        labels were not trained. The rarest untrained classes share the last row if there are many."""
        classes = (*self.trained, *self.untrained)
        actual, predicted = self._numbers(self.labels), self._numbers(self.predicted[MODEL])
        n_shown = len(self.trained) + MAX_UNTRAINED_SHOWN
        shown = list(classes)
        if len(classes) > n_shown + 1:
            shown = [*classes[:n_shown], OTHERS]
            actual = np.minimum(actual, n_shown)
        return {
            "labels": shown,
            "n_trained_labels": len(self.trained),
            "untrained_labels": self.untrained,
            "confusion": confusion_matrix(actual, predicted, len(shown)).tolist(),
        }

    def _numbers(self, labels: Sequence[str]) -> Labels:
        number_of = {label: number for number, label in enumerate((*self.trained, *self.untrained))}
        return np.array([number_of[label] for label in labels], dtype=np.int64)


def untrained_classes(trained: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """Classes that occur among ``labels`` but not in ``trained``, the most frequent first."""
    counts = Counter(labels)
    return tuple(sorted(set(counts) - set(trained), key=lambda label: (-counts[label], label)))


def majority_class(labels: Sequence[str], n_texts: int) -> list[str]:
    """The most frequent label, on ties the first in alphabetical order, for each of ``n_texts`` texts."""
    counts = Counter(labels)
    most_frequent = min(counts, key=lambda label: (-counts[label], label))
    return [most_frequent] * n_texts


def classification_metrics(
    actual: Labels, predicted: Labels, n_classes: int, bootstrap: Bootstrap
) -> dict[str, Estimate]:
    """``accuracy`` and ``macro_f1`` of predictions (n_items,), given the actual classes, both in [0, ``n_classes``)."""
    one_hot = np.eye(n_classes)
    is_right = actual == predicted
    sizes = one_hot[actual] + one_hot[predicted]
    statistics = np.concatenate((one_hot[actual] * is_right[:, None], sizes), axis=1)
    return {
        "accuracy": proportion(is_right, bootstrap.confidence),
        "macro_f1": bootstrap.estimate(statistics, macro_f1, within=(0.0, 1.0), gradient=_macro_f1_gradient),
    }


def confusion_matrix(actual: Labels, predicted: Labels, n_classes: int) -> npt.NDArray[np.int64]:
    """Number of items of each actual class (rows) that were predicted to be of each class (columns)."""
    return np.bincount(actual * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def macro_f1(sums: Floats) -> Floats:
    """The mean F1 of the classes that occur or are predicted: (...) from (..., 2 * n_classes).

    Args:
        sums: for each class its correctly predicted items, then for each class its items plus those predicted to be of
            it.
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


def _measure(actual: Labels, predicted: Mapping[str, Labels], is_untrained: Flags, config: EvaluateConfig) -> Metrics:
    n_classes = int(max(actual.max(), *(own.max() for own in predicted.values()))) + 1
    bootstrap = Bootstrap(len(actual), config.bootstrap, config.seed)
    is_right = {name: own == actual for name, own in predicted.items()}
    return Metrics(
        {name: classification_metrics(actual, own, n_classes, bootstrap) for name, own in predicted.items()},
        {
            pair_name(MODEL, name): {
                "accuracy": proportion_difference(is_right[MODEL], own, config.bootstrap.confidence)
            }
            for name, own in is_right.items()
            if name != MODEL
        },
        {
            "n_documents": len(actual),
            "n_documents_of_untrained_classes": int(np.count_nonzero(is_untrained)),
        },
    )
