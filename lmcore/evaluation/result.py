"""What an evaluation finds: metrics with confidence intervals, or the reason why it was skipped.

The report, the metrics files and an experiment tracker all read the same result, and a metric has the same name in each
of them. On clean documents, those that share no text with the training split, its name ends in ``_clean``.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, TypeVar

from lmcore.evaluation.names import MODEL

CLEAN = "_clean"
"""Suffix of metrics and counts that are restricted to clean documents."""
DIFFERENCES, SOURCES = "differences", "by_source"

Unit = Literal[
    "bits per byte",
    "bits per character",
    "bits per token",
    "choices per token",
    "fraction",
    "nats",
    "nats per text",
    "points of 100",
    "ratio",
]
Verdict = Literal["better", "worse", "not distinguishable"]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Estimate:
    """The value of a metric, or the difference between two, with its confidence interval.

    Attributes:
        value: the metric on all items.
        low: lower end of the interval.
        high: upper end of the interval.
        p_value: for a difference: the probability of one at least as large if the two systems were equally good; None
            without a test.
    """

    value: float
    low: float
    high: float
    p_value: float | None = None

    def as_json(self) -> dict[str, float]:
        """The numbers by name; the p value only if there is one."""
        found = {"value": self.value, "low": self.low, "high": self.high}
        return found if self.p_value is None else {**found, "p_value": self.p_value}

    def verdict(self, *, lower_is_better: bool) -> Verdict:
        """What the interval of a difference to a reference says: nothing, if it contains zero."""
        if self.low <= 0 <= self.high:
            return "not distinguishable"
        return "better" if (self.high < 0) == lower_is_better else "worse"

    def mapped(self, function: Callable[[float], float]) -> "Estimate":
        """The same estimate on another scale; ``function`` must be increasing."""
        return Estimate(function(self.value), function(self.low), function(self.high))


@dataclass(frozen=True)
class Metric:
    """How a metric is named and shown.

    Attributes:
        name: its key in metrics files, reports and trackers.
        title: its name in text.
        unit: what its values are measured in; fractions are shown in percent.
        digits: decimal places to show.
        lower_is_better: whether a lower value is the better one.
        is_descriptive: whether it describes texts without saying how good they are: no value is the better one.
    """

    name: str
    title: str
    unit: Unit
    digits: int
    lower_is_better: bool = False
    is_descriptive: bool = False

    def labeled(self, label: str, suffix: str = "") -> Self:
        """The same metric on a subset of the documents: ``label`` in its title, ``suffix`` in its name."""
        return replace(self, name=f"{self.name}{suffix}", title=f"{self.title} ({label})")


METRICS = (
    Metric("bits_per_byte", "Bits per byte", "bits per byte", 3, lower_is_better=True),
    Metric("perplexity", "Perplexity", "choices per token", 2, lower_is_better=True),
    Metric("bits_per_character", "Bits per character", "bits per character", 3, lower_is_better=True),
    Metric("pseudo_bits_per_byte", "Pseudo bits per byte", "bits per byte", 3, lower_is_better=True),
    Metric("pseudo_perplexity", "Pseudo-perplexity", "choices per token", 2, lower_is_better=True),
    Metric("pseudo_bits_per_character", "Pseudo bits per character", "bits per character", 3, lower_is_better=True),
    Metric("bits_per_masked_token", "Bits per masked token", "bits per token", 3, lower_is_better=True),
    Metric("bits_per_target_token", "Bits per token of the whole text", "bits per token", 3, lower_is_better=True),
    Metric("accuracy", "Accuracy", "fraction", 1),
    Metric("micro_f1", "Micro F1", "fraction", 1),
    Metric("macro_f1", "Macro F1", "fraction", 1),
    Metric("subset_accuracy", "All labels right", "fraction", 1),
    Metric("auroc", "AUROC", "fraction", 1),
    Metric("mean_average_precision", "Mean average precision", "fraction", 1),
    Metric("log_loss", "Log loss", "nats per text", 3, lower_is_better=True),
    Metric("brier_score", "Brier score", "ratio", 3, lower_is_better=True),
    Metric("calibration_error", "Calibration error", "fraction", 1, lower_is_better=True),
    Metric("chrf", "chrF", "points of 100", 1),
    Metric("bleu", "BLEU", "points of 100", 1),
    Metric("rouge_1", "ROUGE-1", "points of 100", 1),
    Metric("rouge_2", "ROUGE-2", "points of 100", 1),
    Metric("rouge_l", "ROUGE-L", "points of 100", 1),
    Metric("extraction_f1", "Extraction F1", "fraction", 1),
    Metric("extraction_exact_match", "All items right", "fraction", 1),
    Metric("valid_json", "Valid JSON", "fraction", 1),
    Metric("exact_match", "Exact match", "fraction", 1),
    Metric("token_f1", "Token F1", "fraction", 1),
    Metric("preference_accuracy", "Preference accuracy", "fraction", 1),
    Metric("reward_accuracy", "Reward accuracy", "fraction", 1),
    Metric("reward_margin", "Reward margin", "nats", 3),
    Metric("reward", "Reward", "fraction", 1),
    Metric("length_ratio", "Length ratio", "ratio", 2, is_descriptive=True),
    Metric("distinct_1", "Distinct words", "fraction", 1, is_descriptive=True),
    Metric("distinct_2", "Distinct pairs of words", "fraction", 1, is_descriptive=True),
    Metric("repetition", "Repeated runs of 4 words", "fraction", 1, is_descriptive=True),
)
"""All metrics. The first of those that a result has is its headline, unless the result names another one."""
HEADLINE = "headline"
"""The detail of a result that names its headline."""
BY_LABEL = "by_label"
"""The detail of a result with its headline on the documents of each label."""


@dataclass(frozen=True)
class Metrics:
    """Metrics of a model and its baselines on the same test documents.

    Attributes:
        models: the metrics of each model by name.
        differences: metrics of one model minus those of another, under ``<model>_minus_<reference>``.
        counts: numbers of documents, tokens and the like.
        by_source: the same for the documents of each source, where there are several.
    """

    models: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    differences: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    by_source: Mapping[str, "Metrics"] = field(default_factory=dict)

    def with_clean(self, clean: "Metrics") -> "Metrics":
        """These metrics, each followed by the one on clean documents."""
        return Metrics(
            {model: _interleaved(own, clean.models.get(model, {})) for model, own in self.models.items()},
            {pair: _interleaved(own, clean.differences.get(pair, {})) for pair, own in self.differences.items()},
            _interleaved(self.counts, clean.counts),
            self.by_source,
        )

    def joined(self, other: "Metrics") -> "Metrics":
        """These metrics together with others of the same documents, which may have more models."""
        models, differences = _joined(self.models, other.models), _joined(self.differences, other.differences)
        return replace(self, models=models, differences=differences)

    def with_counts(self, **counts: int) -> "Metrics":
        """These metrics with more counts."""
        return replace(self, counts={**self.counts, **counts})

    @property
    def n_documents(self) -> int:
        """How many test documents there are."""
        return self.counts["n_documents"]

    @property
    def n_clean(self) -> int:
        """How many of them are clean."""
        return self.counts.get(f"n_documents{CLEAN}", 0)

    @property
    def is_partly_clean(self) -> bool:
        """Whether some documents are clean and others are not; otherwise there is only one set of metrics to show."""
        return 0 < self.n_clean < self.n_documents

    def as_json(self) -> dict[str, Any]:
        """As in ``metrics.json``: the models' metrics by model, the differences, and the counts."""
        differences = {pair: _estimates_as_json(own) for pair, own in self.differences.items()}
        models = {model: _estimates_as_json(own) for model, own in self.models.items()}
        by_source = {source: own.as_json() for source, own in self.by_source.items()}
        return {**models, DIFFERENCES: differences, **({SOURCES: by_source} if by_source else {}), **self.counts}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`as_json`."""
        kept_apart = (DIFFERENCES, SOURCES)
        nested = {name: found for name, found in value.items() if isinstance(found, Mapping) and name not in kept_apart}
        return cls(
            models={model: _estimates_from_json(found) for model, found in nested.items()},
            differences={pair: _estimates_from_json(found) for pair, found in value[DIFFERENCES].items()},
            counts={name: found for name, found in value.items() if name not in kept_apart and name not in nested},
            by_source={source: cls.from_json(found) for source, found in value.get(SOURCES, {}).items()},
        )


@dataclass(frozen=True)
class EvaluationResult:
    """The metrics of a model and its baselines, or the reason why it was not evaluated.

    Attributes:
        names: the name of each model in text.
        metrics: their metrics; empty if skipped.
        details: what a report shows besides metrics, as JSON values: a confusion matrix, completions.
        skipped: why there are no metrics; None if there are.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    details: Mapping[str, Any] = field(default_factory=dict)
    skipped: str | None = None

    def with_details(self, **details: Any) -> "EvaluationResult":
        """This result with more details."""
        return replace(self, details={**self.details, **details})

    @property
    def reported(self) -> list[Metric]:
        """The metrics that the model has, the headline first."""
        found = [metric for metric in METRICS if metric.name in self.metrics.models.get(MODEL, {})]
        return sorted(found, key=lambda metric: metric.name != self.details.get(HEADLINE))

    @property
    def headline(self) -> str:
        """The name of the metric by which models are compared: the first one, on clean documents if there are any."""
        name = self.reported[0].name
        return f"{name}{CLEAN}" if f"{name}{CLEAN}" in self.metrics.models[MODEL] else name

    def tracked(self) -> dict[str, Any]:
        """The metrics as an experiment tracker gets them: the model's own at the top, those of baselines by model, and
        none by source."""
        found = replace(self.metrics, by_source={}).as_json()
        return {**found.pop(MODEL), **found}

    def as_json(self) -> dict[str, Any]:
        """The value in the file of this evaluation."""
        if self.skipped is not None:
            return {"skipped": self.skipped}
        return {"names": dict(self.names), "metrics": self.metrics.as_json(), **self.details}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`as_json`."""
        if "skipped" in value:
            return cls(skipped=value["skipped"])
        details = {name: found for name, found in value.items() if name not in ("names", "metrics")}
        return cls(value["names"], Metrics.from_json(value["metrics"]), details)


def defined(estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """The metrics that have a value: without those that are NaN, such as an area under the curve of one class."""
    return {name: found for name, found in estimates.items() if not math.isnan(found.value)}


def pair_name(model: str, reference: str) -> str:
    """The name of the difference between two models."""
    return f"{model}_minus_{reference}"


def _joined(
    first: Mapping[str, Mapping[str, Estimate]], second: Mapping[str, Mapping[str, Estimate]]
) -> dict[str, dict[str, Estimate]]:
    return {name: {**first.get(name, {}), **second.get(name, {})} for name in {**first, **second}}


def _interleaved(values: Mapping[str, Value], clean: Mapping[str, Value]) -> dict[str, Value]:
    return {
        key: found
        for name, value in values.items()
        for key, found in ((name, value), (f"{name}{CLEAN}", clean.get(name)))
        if found is not None
    }


def _estimates_as_json(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.as_json() for name, estimate in estimates.items()}


def _estimates_from_json(values: Mapping[str, Any]) -> dict[str, Estimate]:
    return {name: Estimate(**value) for name, value in values.items()}
