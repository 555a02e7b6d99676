"""Selects the rows and columns of the report's tables from the metrics.

If some test documents share text with the training split and others do not, the metric by which models are compared has
two columns: on clean documents and on all. Otherwise it has one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lmcore.evaluation.language_models.comparison import COMPARISONS, MODELS
from lmcore.evaluation.names import (
    INTERPOLATION,
    MODEL,
    NGRAM,
    NGRAM_ON_SEEN,
    SHORTER_NGRAM,
    UNCALIBRATED,
    UNIGRAM,
)
from lmcore.evaluation.probes.probe import Probe
from lmcore.evaluation.result import BY_LABEL, CLEAN, Estimate, EvaluationResult, Metric, pair_name

TRAINED_ON = {
    MODEL: "training tokens that it has seen",
    NGRAM: "whole training split",
    SHORTER_NGRAM: "whole training split",
    INTERPOLATION: "weights fitted on the validation split",
    NGRAM_ON_SEEN: "same tokens as the model",
    UNIGRAM: "whole training split",
}


class View:
    """One section of the report.

    Args:
        result: what the section shows.
    """

    def __init__(self, result: EvaluationResult) -> None:
        self.names, self.metrics, self.details = result.names, result.metrics, result.details
        self.is_divided = result.metrics.is_partly_clean
        """Whether metrics on clean and on all documents are shown separately."""
        self.columns = self._columns(result.reported)
        self.headline = self.columns[0]

    @property
    def second(self) -> Metric:
        """The headline of the second metric, which not every model has."""
        return self.columns[2 if self.is_divided else 1]

    def _columns(self, metrics: Sequence[Metric]) -> list[Metric]:
        if not self.is_divided:
            return list(metrics)
        return [column for metric in metrics for column in (metric.labeled("clean", CLEAN), metric.labeled("all"))]

    def compared(self, metric: Metric) -> Metric:
        """A metric on the documents by which models are compared, which its title names."""
        return metric.labeled("clean", CLEAN) if self.is_divided else metric

    def shown(self, metric: Metric) -> Metric:
        """A metric on the documents by which models are compared: the clean ones, if only some are clean."""
        clean = f"{metric.name}{CLEAN}"
        return replace(metric, name=clean) if self.is_divided and clean in self.metrics.models[MODEL] else metric

    def has(self, model: str, column: Metric) -> bool:
        """Whether a model has a metric."""
        return column.name in self.metrics.models.get(model, {})

    def has_difference(self, model: str, reference: str, column: Metric) -> bool:
        """Whether two models are compared by a metric."""
        return column.name in self.metrics.differences.get(pair_name(model, reference), {})

    def estimate(self, model: str, column: Metric | None = None) -> Estimate:
        """A metric of a model with its interval; the headline if no column is given."""
        return self.metrics.models[model][(column or self.headline).name]

    def difference(self, model: str, reference: str, column: Metric | None = None) -> Estimate:
        """The difference of a metric between two models."""
        return self.metrics.differences[pair_name(model, reference)][(column or self.headline).name]

    def verdict(self, model: str, reference: str, column: Metric | None = None) -> str:
        """Whether a model is better than a reference."""
        lower_is_better = (column or self.headline).lower_is_better
        return self.difference(model, reference, column).verdict(lower_is_better=lower_is_better)


class LanguageModelView(View):
    """A language model of any family, compared with its baselines."""

    def __init__(self, result: EvaluationResult) -> None:
        super().__init__(result)
        models = self.metrics.models
        self.kind: str = self.details["kind"]
        self.models = [name for name in (*MODELS, UNIGRAM) if name in models]
        self.baselines = [name for name in self.models if name not in (MODEL, INTERPOLATION)]
        self.best = min(self.models, key=lambda name: self.estimate(name).value)
        is_all_seen = self.details.get("is_whole_split_seen", False)
        self.trained_on = TRAINED_ON | ({MODEL: TRAINED_ON[NGRAM]} if is_all_seen else {})
        self.pairs = [pair for pair in (*COMPARISONS, (MODEL, UNIGRAM)) if pair_name(*pair) in self.metrics.differences]
        headline = self._columns(result.reported[:1])
        self.columns = [*headline, *(self.compared(metric) for metric in result.reported[1:])]
        self.difference_columns = [column for column in headline if self.pairs]
        self.sources = [
            (name, own.counts["n_documents"], [(metric, own.models[MODEL][metric.name]) for metric in result.reported])
            for name, own in self.metrics.by_source.items()
        ]
        """The model's metrics on the documents of each source, if there are several."""
        self.interpolation: Mapping[str, Any] | None = self.details.get("interpolation")
        self.documents: Sequence[Mapping[str, Any]] = self.details.get("documents", [])

    @property
    def estimates(self) -> dict[str, Estimate]:
        """The headline of each model, by its name in text."""
        return {self.names[name]: self.estimate(name) for name in self.models}

    @property
    def surprisal_models(self) -> list[str]:
        """The models whose surprisal is shown."""
        return [name for name in (MODEL, NGRAM, SHORTER_NGRAM) if name in self.metrics.models]


class ClassifierView(View):
    """The classifier, compared with its baselines."""

    def __init__(self, result: EvaluationResult) -> None:
        super().__init__(result)
        self.models = [name for name in self.names if name in self.metrics.models and name != UNCALIBRATED]
        self.strongest: str = self.details["strongest_baseline"]
        self.columns = self._columns(result.reported[:2])
        names = ("auroc", "log_loss", "brier_score", "calibration_error")
        self.probability_metrics = [self.shown(metric) for metric in result.reported if metric.name in names]
        """How good the scores and the probabilities are."""


class ProbeView:
    """A probe, and how its numbers are shown."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        digits = {"fraction": 1, "bits per byte": 3}.get(probe.unit, 2)
        self.metric = Metric(probe.name, probe.measure, probe.unit, digits)


class CompletionView(View):
    """A model that answers prompts, compared with its baselines."""

    def __init__(self, result: EvaluationResult) -> None:
        super().__init__(result)
        self.models = [name for name in self.names if name in self.metrics.models]
        self.strongest: str = self.details["strongest_baseline"]
        self.columns = self._columns(result.reported[:1])
        of_both = [metric for metric in result.reported if metric.name in self.metrics.models[self.strongest]]
        self.quality = [self.shown(metric) for metric in of_both if not metric.is_descriptive]
        """How good the completions are."""
        self.style = [self.shown(metric) for metric in result.reported if metric.is_descriptive]
        """How they are written."""
        self.metric = result.reported[0]
        self.by_label = [
            (row["label"], row["n_documents"], Estimate(**row[MODEL]), Estimate(**row[self.strongest]))
            for row in self.details.get(BY_LABEL, [])
        ]
        """The label and the number of the documents of each label, and the metric of model and strongest baseline."""
