"""The metrics of a training in progress, as another process reads them."""

import json
from contextlib import suppress
from pathlib import Path

from tasks.context.environment import Environment
from tasks.context.sealed import read_sealed, unseal
from tasks.tracking.local_run import INFO_NAME, METRICS_NAME, run_folders
from tasks.tracking.outbox import tracking_folder
from tasks.tracking.run_info import RunInfo


def live_curve(environment: Environment, *, experiment: str, model: str, metric: str) -> list[tuple[int, float]]:
    """The steps and values of a metric so far; empty before the training starts and after its run is in MLflow.

    Args:
        environment: where the work folder is.
        experiment: the name of the DVC experiment.
        model: the name of the training's run.
        metric: the metric.
    """
    values: dict[int, float] = {}
    for folder in run_folders(tracking_folder(environment)):
        with suppress(OSError, ValueError):  # just written, or just removed
            info = read_sealed(folder / INFO_NAME, RunInfo)
            if info.model == model and info.lineage.get("dvc.experiment") == experiment:
                values |= _values(folder / METRICS_NAME, metric)
    return sorted(values.items())


def _values(path: Path, metric: str) -> dict[int, float]:
    found: dict[int, float] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError):  # the last line may be half written
            entry = json.loads(unseal(line))
            if metric in entry["metrics"]:
                found.setdefault(entry["step"], entry["metrics"][metric])
    return found
