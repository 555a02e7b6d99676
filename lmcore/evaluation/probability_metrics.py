"""How good the probabilities of a classifier are: area under the ROC curve, log loss, Brier score and calibration.

Sources: Fawcett (2006), https://doi.org/10.1016/j.patrec.2005.10.010, for the area; Brier (1950) for the score; Guo et
al. (2017), https://arxiv.org/abs/1706.04599, for the expected calibration error with bins of equal width.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lmcore.evaluation.intervals import Bootstrap, Flags, Floats, mean, mean_difference, proportion
from lmcore.evaluation.result import Estimate

N_BINS = 15
"""Number of bins of equal width between a confidence of 0 and 1, as in Guo et al. 2017."""
LEAST_PROBABILITY = 1e-12

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ReliabilityBin:
    """Documents whose predicted label has a similar probability.

    Attributes:
        n_documents: how many there are.
        confidence: the mean probability of the predicted label.
        accuracy: how often it is the right one, with its interval.
    """

    n_documents: int
    confidence: float
    accuracy: Estimate


def reliability(probabilities: Floats, actual: Labels, confidence: float) -> list[ReliabilityBin]:
    """The bins of a reliability diagram that hold documents, in order of confidence.

    Args:
        probabilities: of each class, (n_documents, n_classes).
        actual: the class of each document, (n_documents,).
        confidence: that of the intervals.
    """
    best, is_right, bins = _confidence_bins(probabilities, actual)
    return [
        ReliabilityBin(int(own.sum()), float(best[own].mean()), proportion(is_right[own], confidence))
        for number in range(N_BINS)
        if (own := bins == number).any()
    ]


def probability_metrics(probabilities: Floats, actual: Labels, bootstrap: Bootstrap) -> dict[str, Estimate]:
    """``log_loss`` in nats, ``brier_score`` (0 to 2) and ``calibration_error`` (0 to 1) of class probabilities.

    Args:
        probabilities: of each class, (n_documents, n_classes), with rows that sum to 1.
        actual: the class of each document, (n_documents,).
        bootstrap: resamples of as many documents.
    """
    return {
        "log_loss": mean(_log_losses(probabilities, actual), bootstrap, (0.0, np.inf)),
        "brier_score": mean(_brier_scores(probabilities, actual), bootstrap, (0.0, 2.0)),
        "calibration_error": bootstrap.estimate(
            _bin_sums(probabilities, actual), _calibration_error, within=(0.0, 1.0)
        ),
    }


def probability_differences(
    probabilities: Floats, reference: Floats, actual: Labels, bootstrap: Bootstrap
) -> dict[str, Estimate]:
    """The same metrics minus those of a reference's probabilities for the same documents."""
    own, other = _bin_sums(probabilities, actual), _bin_sums(reference, actual)
    n = own.shape[1]
    return {
        "log_loss": mean_difference(_log_losses(probabilities, actual), _log_losses(reference, actual), bootstrap),
        "brier_score": mean_difference(
            _brier_scores(probabilities, actual), _brier_scores(reference, actual), bootstrap
        ),
        "calibration_error": bootstrap.difference(
            np.concatenate((own, other), axis=1),
            lambda sums: _calibration_error(sums[..., :n]) - _calibration_error(sums[..., n:]),
            within=(-1.0, 1.0),
        ),
    }


def auroc(scores: Floats, is_positive: Flags, bootstrap: Bootstrap) -> Estimate:
    """The area under the ROC curve of each class against all others, averaged over the classes that occur.

    Args:
        scores: a score of each class, (n_documents, n_classes); higher means more likely.
        is_positive: which classes each document has, bool (n_documents, n_classes).
        bootstrap: resamples of as many documents.
    """
    return bootstrap.weighted(macro_average(scores, is_positive, area_under_curve))


def auroc_difference(scores: Floats, reference: Floats, is_positive: Flags, bootstrap: Bootstrap) -> Estimate:
    """The area under the ROC curve minus that of a reference's scores for the same documents."""
    own, other = (macro_average(values, is_positive, area_under_curve) for values in (scores, reference))
    return bootstrap.weighted_difference(lambda counts: own(counts) - other(counts))


@dataclass(frozen=True)
class RankedScores:
    """The documents in ascending order of the score of one class.

    Attributes:
        order: indices of the documents, (n_documents,).
        is_positive: which of them have the class, in that order, bool (n_documents,).
        starts: where each group of equal scores begins, (n_groups,).
    """

    order: Labels
    is_positive: Flags
    starts: Labels

    def grouped(self, counts: Floats) -> tuple[Floats, Floats]:
        """Positive and other documents in each group, (n, n_groups) each.

        Args:
            counts: how often each document counts, (n, n_documents).
        """
        ordered = counts[:, self.order]
        positive = np.add.reduceat(ordered * self.is_positive, self.starts, axis=1)
        return positive, np.add.reduceat(ordered, self.starts, axis=1) - positive


def macro_average(
    scores: Floats, is_positive: Flags, of_class: Callable[[Floats, Floats], Floats]
) -> Callable[[Floats], Floats]:
    """The mean of a metric over classes, as a function of how often each document counts.

    Args:
        scores: (n_documents, n_classes).
        is_positive: bool (n_documents, n_classes).
        of_class: the metric of a class from its positive and its other documents by group of equal score, ascending;
            NaN where it is not defined.
    """
    ranked = list(_ranked(scores, is_positive))

    def measure(counts: Floats) -> Floats:
        total, n_defined = np.zeros(len(counts)), np.zeros(len(counts))
        for one in ranked:
            found = of_class(*one.grouped(counts))
            is_defined = ~np.isnan(found)
            total += np.where(is_defined, found, 0.0)
            n_defined += is_defined
        return _divided(total, n_defined)

    return measure


def area_under_curve(positive: Floats, negative: Floats) -> Floats:
    """The probability that a positive document has a higher score than another one, half of it for equal scores."""
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return _divided((positive * below).sum(axis=1), pairs)


def average_precision(positive: Floats, negative: Floats) -> Floats:
    """The precision at the score of each positive document, averaged over them."""
    n_positive = np.cumsum(positive[:, ::-1], axis=1)
    precision = n_positive / np.maximum(n_positive + np.cumsum(negative[:, ::-1], axis=1), 1e-300)
    return _divided((positive[:, ::-1] * precision).sum(axis=1), positive.sum(axis=1))


def _ranked(scores: Floats, is_positive: Flags) -> Iterator[RankedScores]:
    for own, has_class in zip(scores.T, is_positive.T, strict=True):
        order = np.argsort(own, kind="stable")
        ordered = own[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        yield RankedScores(order, has_class[order], starts)


def _divided(part: Floats, whole: Floats) -> Floats:
    """Division that is NaN where the divisor is zero."""
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))


def _log_losses(probabilities: Floats, actual: Labels) -> Floats:
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(actual)), actual], LEAST_PROBABILITY)))


def _brier_scores(probabilities: Floats, actual: Labels) -> Floats:
    return np.asarray(((probabilities - np.eye(probabilities.shape[1])[actual]) ** 2).sum(axis=1))


def _confidence_bins(probabilities: Floats, actual: Labels) -> tuple[Floats, Flags, Labels]:
    """The probability of each predicted label, whether it is the right one, and its bin, (n_documents,) each."""
    best = probabilities.max(axis=1)
    bins = np.clip(np.ceil(best * N_BINS).astype(np.int64) - 1, 0, N_BINS - 1)
    return best, probabilities.argmax(axis=1) == actual, bins


def _bin_sums(probabilities: Floats, actual: Labels) -> Floats:
    """What the calibration error is a function of: by bin the confidence, by bin the right labels, and 1."""
    best, is_right, bins = _confidence_bins(probabilities, actual)
    in_bin = np.eye(N_BINS)[bins]
    return np.concatenate((in_bin * best[:, None], in_bin * is_right[:, None], np.ones((len(bins), 1))), axis=1)


def _calibration_error(sums: Floats) -> Floats:
    gaps = np.abs(sums[..., :N_BINS] - sums[..., N_BINS : 2 * N_BINS])
    return np.asarray(gaps.sum(axis=-1) / sums[..., -1])
