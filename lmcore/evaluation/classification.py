"""How well a classifier separates classes: accuracy, macro-averaged F1, AUROC, its probabilities and the confusion
matrix."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.clustered_proportions import clustered_difference, clustered_proportion
from lmcore.evaluation.held_out_contamination import Indices, measure_all_and_clean
from lmcore.evaluation.intervals import Bootstrap, Flags, Floats
from lmcore.evaluation.names import MODEL
from lmcore.evaluation.probability_metrics import (
    auroc,
    auroc_difference,
    probability_differences,
    probability_metrics,
    reliability,
)
from lmcore.evaluation.result import Estimate, Metrics, defined, pair_name

Labels = npt.NDArray[np.int64]

MAX_UNTRAINED_SHOWN = 10
"""Number of classes without training documents that have a row of their own in the confusion matrix."""
OTHERS = "other classes that were not trained"


@dataclass(frozen=True)
class ClassifiedDocuments:
    """Labeled test documents and what the classifier and its baselines predict for them.

    Attributes:
        trained: the classes that the classifier knows.
        ids: the id of each document; examples with the same id (whole and cut off) form a cluster.
        labels: the label of each document, of any class.
        predicted: predicted labels by model, one for each document.
        scores: for each model that has them, a score of each trained class, (n_documents, n_trained).
        probabilities: for each model that has them, the probability of each trained class, (n_documents, n_trained).
    """

    trained: Sequence[str]
    ids: Sequence[str]
    labels: Sequence[str]
    predicted: Mapping[str, Sequence[str]]
    scores: Mapping[str, Floats] = field(default_factory=dict)
    probabilities: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def untrained(self) -> tuple[str, ...]:
        """Classes of test documents that the classifier does not know, the most frequent first."""
        return untrained_classes(self.trained, self.labels)

    def evaluate(self, is_clean: Flags, config: EvaluateConfig) -> Metrics:
        """Accuracy and macro F1 of each model, where documents of unknown classes count as wrong; on documents of
        trained classes, the area under the ROC curve and the quality of the probabilities of those that have them.

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
            found = _measure(actual[indices], chosen, is_untrained[indices], self._bootstrap(indices, config))
            trained = indices[~is_untrained[indices]]
            return found.joined(self._measure_scores(actual, trained, config)) if len(trained) > 1 else found

        return measure_all_and_clean(is_clean, measure)

    def reliability(self, name: str, confidence: float) -> list[dict[str, Any]]:
        """The bins of a model's reliability diagram as JSON values, from its probabilities for documents of trained
        classes: ``n_documents``, ``confidence`` and ``accuracy`` with its interval."""
        actual = self._numbers(self.labels)
        is_trained = actual < len(self.trained)
        bins = reliability(self.probabilities[name][is_trained], actual[is_trained], confidence)
        return [
            {"n_documents": one.n_documents, "confidence": one.confidence, "accuracy": one.accuracy.as_json()}
            for one in bins
        ]

    def _measure_scores(self, actual: Labels, indices: Indices, config: EvaluateConfig) -> Metrics:
        """Metrics of scores and probabilities on documents of trained classes."""
        bootstrap = self._bootstrap(indices, config)
        chosen = actual[indices]
        is_class = np.eye(len(self.trained), dtype=bool)[chosen]
        scores = {name: own[indices] for name, own in self.scores.items()}
        probabilities = {name: own[indices] for name, own in self.probabilities.items()}
        return Metrics(
            {name: defined({"auroc": auroc(own, is_class, bootstrap)}) for name, own in scores.items()},
            {
                pair_name(MODEL, name): defined({"auroc": auroc_difference(scores[MODEL], own, is_class, bootstrap)})
                for name, own in scores.items()
                if name != MODEL
            },
        ).joined(
            Metrics(
                {name: probability_metrics(own, chosen, bootstrap) for name, own in probabilities.items()},
                {
                    pair_name(MODEL, name): probability_differences(probabilities[MODEL], own, chosen, bootstrap)
                    for name, own in probabilities.items()
                    if name != MODEL
                },
            )
        )

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

    def _bootstrap(self, indices: Indices, config: EvaluateConfig) -> Bootstrap:
        return Bootstrap(len(indices), config.bootstrap, config.seed, [self.ids[index] for index in indices])

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
        "accuracy": clustered_proportion(is_right, bootstrap),
        "macro_f1": bootstrap.estimate(statistics, macro_f1, within=(0.0, 1.0), gradient=macro_f1_gradient),
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
    return np.asarray(scores.sum(axis=-1) / np.maximum(occurs.sum(axis=-1), 1))


def macro_f1_gradient(sums: Floats) -> Floats:
    """The derivatives of :func:`macro_f1` with respect to the sums, (..., 2 * n_classes)."""
    hits, sizes = np.split(sums, 2, axis=-1)
    occurs = sizes > 0
    by_hits = np.divide(2.0, sizes, out=np.zeros_like(sizes), where=occurs)
    gradient = np.concatenate((by_hits, -by_hits * np.divide(hits, sizes, out=np.zeros_like(sizes), where=occurs)), -1)
    return np.asarray(gradient / np.maximum(occurs.sum(axis=-1, keepdims=True), 1))


def _measure(actual: Labels, predicted: Mapping[str, Labels], is_untrained: Flags, bootstrap: Bootstrap) -> Metrics:
    n_classes = int(max(actual.max(), *(own.max() for own in predicted.values()))) + 1
    is_right = {name: own == actual for name, own in predicted.items()}
    return Metrics(
        {name: classification_metrics(actual, own, n_classes, bootstrap) for name, own in predicted.items()},
        {
            pair_name(MODEL, name): {"accuracy": clustered_difference(is_right[MODEL], own, bootstrap)}
            for name, own in is_right.items()
            if name != MODEL
        },
        {
            "n_documents": len(actual),
            "n_documents_of_untrained_classes": int(np.count_nonzero(is_untrained)),
        },
    )
