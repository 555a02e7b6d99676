"""How well a classifier finds the labels of documents that can have several, or none.

A label counts as predicted if its probability is at least 0.5.
"""

from collections.abc import Mapping

import numpy as np

from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.classification import macro_f1, macro_f1_gradient
from lmcore.evaluation.held_out_contamination import Indices, measure_all_and_clean
from lmcore.evaluation.intervals import Bootstrap, Flags, Floats, Measure, proportion, proportion_difference
from lmcore.evaluation.names import MODEL
from lmcore.evaluation.probability_metrics import area_under_curve, average_precision, macro_average
from lmcore.evaluation.result import Estimate, Metrics, defined, pair_name

THRESHOLD = 0.5


def evaluate_multi_label(
    has_label: Flags, probabilities: Mapping[str, Floats], is_clean: Flags, config: EvaluateConfig
) -> Metrics:
    """Metrics of each model, and the model's differences to the others.

    Args:
        has_label: the labels of each document, bool (n_documents, n_labels).
        probabilities: by model the probability of each label, (n_documents, n_labels).
        is_clean: which documents share nothing with the training split, bool (n_documents,).
        config: seed and confidence intervals.
    """

    def measure(indices: Indices) -> Metrics:
        bootstrap = Bootstrap(len(indices), config.bootstrap, config.seed)
        actual = has_label[indices]
        chosen = {name: own[indices] for name, own in probabilities.items()}
        return Metrics(
            {name: defined(multi_label_metrics(actual, own, bootstrap)) for name, own in chosen.items()},
            {
                pair_name(MODEL, name): defined(multi_label_differences(actual, chosen[MODEL], own, bootstrap))
                for name, own in chosen.items()
                if name != MODEL
            },
            {"n_documents": len(indices), "n_labels": has_label.shape[1]},
        )

    return measure_all_and_clean(is_clean, measure)


def multi_label_metrics(has_label: Flags, probabilities: Floats, bootstrap: Bootstrap) -> dict[str, Estimate]:
    """``micro_f1``, ``macro_f1``, ``subset_accuracy`` (all labels of a document right), ``auroc`` and
    ``mean_average_precision`` (both averaged over the labels that occur)."""
    predicted = probabilities >= THRESHOLD
    statistics = _sums(has_label, predicted)
    return {
        "micro_f1": bootstrap.estimate(statistics, micro_f1, within=(0.0, 1.0)),
        "macro_f1": bootstrap.estimate(statistics, macro_f1, within=(0.0, 1.0), gradient=macro_f1_gradient),
        "subset_accuracy": proportion((predicted == has_label).all(axis=1), bootstrap.confidence),
        "auroc": bootstrap.weighted(macro_average(probabilities, has_label, area_under_curve)),
        "mean_average_precision": bootstrap.weighted(macro_average(probabilities, has_label, average_precision)),
    }


def multi_label_differences(
    has_label: Flags, probabilities: Floats, reference: Floats, bootstrap: Bootstrap
) -> dict[str, Estimate]:
    """The same metrics minus those of a reference for the same documents."""
    own, other = probabilities >= THRESHOLD, reference >= THRESHOLD
    statistics = np.concatenate((_sums(has_label, own), _sums(has_label, other)), axis=1)

    def difference_of(measure: Measure) -> Estimate:
        n = statistics.shape[1] // 2
        return bootstrap.difference(
            statistics, lambda sums: measure(sums[..., :n]) - measure(sums[..., n:]), within=(-1.0, 1.0)
        )

    precision, reference_precision = (
        macro_average(values, has_label, average_precision) for values in (probabilities, reference)
    )
    return {
        "micro_f1": difference_of(micro_f1),
        "macro_f1": difference_of(macro_f1),
        "subset_accuracy": proportion_difference(
            (own == has_label).all(axis=1), (other == has_label).all(axis=1), bootstrap.confidence
        ),
        "mean_average_precision": bootstrap.weighted_difference(
            lambda counts: precision(counts) - reference_precision(counts)
        ),
    }


def micro_f1(sums: Floats) -> Floats:
    """The F1 of all labels together: (...) from (..., 2 * n_labels), as for
    :func:`~lmcore.evaluation.classification.macro_f1`; zero if no label occurs."""
    hits, sizes = np.split(sums, 2, axis=-1)
    whole = sizes.sum(axis=-1)
    return np.asarray(np.divide(2 * hits.sum(axis=-1), whole, out=np.zeros_like(whole), where=whole > 0))


def micro_f1_of(has_label: Flags, predicted: Flags) -> float:
    """The micro F1 of predicted labels, bool (n_documents, n_labels)."""
    return float(micro_f1(_sums(has_label, predicted).sum(axis=0)))


def _sums(has_label: Flags, predicted: Flags) -> Floats:
    """For each label whether it is correctly predicted, then how often it occurs and is predicted."""
    return np.concatenate((has_label & predicted, has_label.astype(int) + predicted), axis=1).astype(np.float64)
