"""All metrics of a system's texts."""

from collections.abc import Sequence
from copy import copy
from typing import Self

from lmcore.errors import UserError
from lmcore.evaluation.held_out_contamination import Indices
from lmcore.evaluation.intervals import Bootstrap
from lmcore.evaluation.result import Estimate
from lmcore.evaluation.texts.answers import answer_metrics
from lmcore.evaluation.texts.extraction import extraction_metrics
from lmcore.evaluation.texts.overlap import overlap_metrics
from lmcore.evaluation.texts.statistics import TextMetric
from lmcore.evaluation.texts.style import style_metrics


class TextMetrics:
    """Metrics of a system's texts, one reference for each text.

    Args:
        texts: what the system wrote.
        references: what was expected.
    """

    def __init__(self, texts: Sequence[str], references: Sequence[str]) -> None:
        self._metrics: dict[str, TextMetric] = {
            **overlap_metrics(texts, references),
            **answer_metrics(texts, references),
            **extraction_metrics(texts, references),
            **style_metrics(texts, references),
        }

    @property
    def signatures(self) -> dict[str, str]:
        """Exactly how each metric is computed."""
        return {name: metric.signature for name, metric in self._metrics.items()}

    def value(self, name: str) -> float:
        """One metric of all texts.

        Raises:
            UserError: if these texts do not have this metric.
        """
        if name not in self._metrics:
            raise UserError(f"the metric {name} is only for completions that are JSON objects: choose another one")
        return self._metrics[name].value

    def estimate(self, name: str, bootstrap: Bootstrap) -> Estimate:
        """One metric of all texts, with its interval."""
        return self._metrics[name].estimate(bootstrap)

    def metrics(self, bootstrap: Bootstrap) -> dict[str, Estimate]:
        """The metrics by name."""
        return {name: metric.estimate(bootstrap) for name, metric in self._metrics.items()}

    def select(self, indices: Indices) -> Self:
        """The metrics of the texts with the given indices."""
        chosen = copy(self)
        chosen._metrics = {name: metric.select(indices) for name, metric in self._metrics.items()}
        return chosen

    def differences(self, reference: "TextMetrics", bootstrap: Bootstrap) -> dict[str, Estimate]:
        """These metrics minus those of another system's texts for the same references."""
        return {name: metric.difference(reference._metrics[name], bootstrap) for name, metric in self._metrics.items()}
