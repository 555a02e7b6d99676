"""Adds the evaluation to the row of the model that was evaluated."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.environment import Environment


def log_evaluation(
    environment: Environment, *, model: str, folder: Path, metrics: Mapping[str, Any], artifacts: Sequence[Path]
) -> None:
    """Log how good a model is to its row, found by the content of the model folder.

    Args:
        environment: where the tracking store is.
        model: "language-model", "classifier" or "completion".
        folder: the model folder; a model that this store has never seen gets a row of its own.
        metrics: numbers, nested as in ``reports/metrics.json``; each becomes ``test/<name joined by _>``.
            A mapping ``{value, low, high}`` is a figure with its interval.
        artifacts: files and folders (report, plots, samples), logged below ``evaluation/``.
    """
    raise NotImplementedError
