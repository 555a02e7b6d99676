"""How often the intervals of the evaluation contain the truth.  Run: ``python -m benchmarks.interval_coverage``.

Test sets are drawn from a large synthetic population, whose metric is the truth; each gives an interval of 95 %
confidence with the library's own functions. The printed table is that of docs/evaluation.md.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from lmcore.config.evaluate import BootstrapConfig
from lmcore.evaluation.classification import classification_metrics
from lmcore.evaluation.clustered_proportions import clustered_difference, clustered_proportion
from lmcore.evaluation.intervals import Bootstrap, proportion, proportion_difference, ratio, ratio_difference
from lmcore.evaluation.multi_label import multi_label_metrics
from lmcore.evaluation.probability_metrics import auroc, probability_metrics
from lmcore.evaluation.result import Estimate
from lmcore.evaluation.texts.metrics import TextMetrics

POPULATION = 5_000
N_TEST_SETS = 500
RESAMPLES = BootstrapConfig(num_resamples=400, confidence=0.95)
Indices = np.ndarray
Measured = Callable[[Indices, int], Estimate]


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    Attributes:
        metric: name of the metric.
        interval: how its interval is made.
        n_items: size of a test set.
        measure: the metric of the items of the population with the given indices; the second argument is a seed.
        items: what the items are called if they hold several of what is measured.
    """

    metric: str
    interval: str
    n_items: int
    measure: Measured
    items: str = ""


def settings() -> Iterator[Setting]:
    """All rows."""
    for n_items in (20, 100, 600):
        yield Setting("bits per byte", "studentized bootstrap", n_items, _bits(paired=False))
    for n_items in (20, 100, 600):
        yield Setting("difference in bits per byte", "studentized bootstrap", n_items, _bits(paired=True))
    for n_items, fraction in ((20, 0.8), (200, 0.8), (600, 0.99)):
        yield Setting(f"accuracy of {fraction}", "Clopper-Pearson", n_items, _accuracy(fraction))
    for n_items in (20, 200):
        yield Setting("difference in accuracy", "Bonett-Price", n_items, _accuracy_difference())
    bootstrap, of_areas = "studentized bootstrap", "resampled error, log-odds"
    for n_items in (100, 600):
        yield Setting("macro F1, 4 classes", "studentized bootstrap", n_items, _classes("macro_f1", 1.0))
        yield Setting("AUROC, 4 classes", of_areas, n_items, _classes("auroc", 1.0))
        yield Setting("log loss", "studentized bootstrap", n_items, _classes("log_loss", 2.0))
        yield Setting("Brier score", "studentized bootstrap", n_items, _classes("brier_score", 2.0))
        yield Setting("calibration error, overconfident", bootstrap, n_items, _classes("calibration_error", 3.0))
        yield Setting("calibration error, calibrated", bootstrap, n_items, _classes("calibration_error", 1.0))
    yield Setting("micro F1, 5 labels", "studentized bootstrap", 200, _labels("micro_f1"))
    yield Setting("mean average precision, 5 labels", of_areas, 200, _labels("mean_average_precision"))
    for metric in ("bleu", "chrf", "rouge_l", "token_f1", "repetition"):
        yield Setting(metric, "studentized bootstrap", 100, _texts(metric))
    yield Setting("distinct_2", "jackknife", 100, _texts("distinct_2"))
    of_documents = "bootstrap of documents"
    for n_documents in (20, 100, 400):
        yield Setting("exact match of questions", of_documents, n_documents, _questions(), "documents")
    for n_documents in (20, 100, 400):
        measure = _questions(paired=True)
        yield Setting("difference in exact match", of_documents, n_documents, measure, "documents")
    singly = _questions(is_clustered=False)
    yield Setting("exact match, as if questions were independent", "Clopper-Pearson", 100, singly, "documents")


def coverage(setting: Setting, n_test_sets: int) -> float:
    """The fraction of test sets whose interval contains the truth."""
    generator = np.random.default_rng(0)
    drawn = [generator.integers(0, POPULATION, setting.n_items) for _ in range(n_test_sets)]
    found = [setting.measure(indices, seed) for seed, indices in enumerate(drawn)]
    # Few texts have more distinct words than many: the truth is the mean over test sets of the same size.
    is_of_size = setting.interval == "jackknife"
    truth = np.mean([own.value for own in found]) if is_of_size else setting.measure(np.arange(POPULATION), 0).value
    return float(np.mean([own.low <= truth <= own.high for own in found]))


def main() -> None:
    """Print the table, or the rows of the named metrics."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interval_coverage", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows whose metric begins so; all if none is given")
    parser.add_argument("--test-sets", type=int, default=N_TEST_SETS)
    options = parser.parse_args()
    sys.stdout.write("| metric | interval | test items | contains the truth |\n|---|---|---|---|\n")
    for setting in settings():
        if not options.names or any(setting.metric.startswith(name) for name in options.names):
            found = coverage(setting, options.test_sets)
            n_items = f"{setting.n_items} {setting.items}".strip()
            row = (setting.metric, setting.interval, n_items, f"{100 * found:.1f} %")
            sys.stdout.write(f"| {' | '.join(row)} |\n")
            sys.stdout.flush()


def _bootstrap(indices: Indices, seed: int) -> Bootstrap:
    # The population itself is measured without a need for its interval.
    n_resamples = 100 if len(indices) == POPULATION else RESAMPLES.num_resamples
    return Bootstrap(len(indices), RESAMPLES.model_copy(update={"num_resamples": n_resamples}), seed)


def _bits(*, paired: bool) -> Measured:
    """Lengths vary a lot, and long documents need fewer bits per byte."""
    generator = np.random.default_rng(1)
    n_bytes = np.exp(generator.normal(5.5, 1.1, POPULATION))
    rate = np.exp(generator.normal(0.6, 0.25, POPULATION)) * (n_bytes / 250) ** -0.15
    other = rate * np.exp(generator.normal(-0.03, 0.12, POPULATION))
    statistics = np.stack((n_bytes * rate, n_bytes, n_bytes * other, n_bytes), axis=1)
    if paired:
        return lambda indices, seed: _bootstrap(indices, seed).difference(statistics[indices], ratio_difference)
    return lambda indices, seed: _bootstrap(indices, seed).estimate(
        statistics[indices, :2], ratio, within=(0.0, np.inf)
    )


def _accuracy(fraction: float) -> Measured:
    hits = np.arange(POPULATION) < fraction * POPULATION
    return lambda indices, _: proportion(hits[indices], RESAMPLES.confidence)


def _accuracy_difference() -> Measured:
    place = np.arange(POPULATION) / POPULATION
    first, second = place < 0.85, (place < 0.75) | (place > 0.95)
    return lambda indices, _: proportion_difference(first[indices], second[indices], RESAMPLES.confidence)


def _classes(metric: str, sharpness: float) -> Measured:
    """Labels drawn from probabilities, which the classifier makes sharper than they are."""
    generator = np.random.default_rng(2)
    logits = generator.normal((0.0, 0.3, 0.6, 0.9), 1.5, (POPULATION, 4))
    chances = softmax(logits, axis=1)
    actual = (chances.cumsum(axis=1) > generator.random((POPULATION, 1))).argmax(axis=1)
    probabilities = softmax(sharpness * logits, axis=1)

    def measure(indices: Indices, seed: int) -> Estimate:
        bootstrap, own, labels = _bootstrap(indices, seed), probabilities[indices], actual[indices]
        if metric == "macro_f1":
            return classification_metrics(labels, own.argmax(axis=1), 4, bootstrap)[metric]
        if metric == "auroc":
            return auroc(own, np.eye(4, dtype=bool)[labels], bootstrap)
        return probability_metrics(own, labels, bootstrap)[metric]

    return measure


def _labels(metric: str) -> Measured:
    generator = np.random.default_rng(3)
    has_label = generator.random((POPULATION, 5)) < [0.5, 0.4, 0.3, 0.2, 0.1]
    probabilities = 0.35 * has_label + 0.65 * generator.random((POPULATION, 5))
    return lambda indices, seed: multi_label_metrics(
        has_label[indices], probabilities[indices], _bootstrap(indices, seed)
    )[metric]


def _texts(metric: str) -> Measured:
    """Sentences of frequent and rare words, of which a system replaces some, some more in some sentences."""
    generator = np.random.default_rng(4)
    lengths = generator.integers(4, 14, POPULATION)
    skill = generator.beta(4, 2, POPULATION)
    texts, references = [], []
    for length, own in zip(lengths, skill, strict=True):
        words = generator.zipf(1.4, length) % 2000
        other = np.where(generator.random(length) < own, words, generator.zipf(1.4, length) % 2000)
        references.append(" ".join(f"w{word}" for word in words))
        texts.append(" ".join(f"w{word}" for word in other))
    whole = TextMetrics(texts, references)._metrics[metric]
    return lambda indices, seed: whole.select(indices).estimate(_bootstrap(indices, seed))


def _questions(*, paired: bool = False, is_clustered: bool = True) -> Measured:
    """Questions about documents, which are easier for some documents than for others; the items are documents."""
    generator = np.random.default_rng(5)
    sizes = generator.integers(1, 9, POPULATION)
    starts = np.cumsum(sizes) - sizes
    skill = np.repeat(generator.beta(1.2, 0.8, POPULATION), sizes)
    first = generator.random(len(skill)) < skill
    second = np.where(generator.random(len(skill)) < 0.6, first, generator.random(len(skill)) < 0.8 * skill)

    def measure(indices: Indices, seed: int) -> Estimate:
        drawn = np.concatenate([np.arange(starts[index], starts[index] + sizes[index]) for index in indices])
        documents = np.repeat(np.arange(len(indices)), sizes[indices]).tolist() if is_clustered else None
        bootstrap = Bootstrap(len(drawn), RESAMPLES, seed, documents)
        if paired:
            return clustered_difference(first[drawn], second[drawn], bootstrap)
        return clustered_proportion(first[drawn], bootstrap)

    return measure


if __name__ == "__main__":
    main()
