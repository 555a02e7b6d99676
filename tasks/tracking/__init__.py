"""What happened: one MLflow run per trained model, with everything needed to judge it and to get it back.

The only package that imports MLflow, and only once a stage really tracks something (the import takes seconds).
Whatever is tracked is first written below ``tracking/`` of the work folder and from there brought to MLflow, so that
neither a killed training nor a silent server loses or doubles anything.

* :func:`model_run` opens the run while a model trains, or continues that of an interrupted training;
* :func:`finish_run` ends the run of a model that was finished when its process was killed;
* :func:`log_evaluation` finds the run of a finished model by the model's content and adds how good it is;
* :func:`catch_up` delivers what MLflow has missed while it did not answer;
* :func:`relocate_store` sets the store right after its folder was moved or copied;
* :func:`experiment_page` is where a person sees it all.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.context.environment import Environment
from tasks.tracking.evaluations import keep_evaluation
from tasks.tracking.location import relocate_store
from tasks.tracking.page import experiment_page
from tasks.tracking.run import ModelRun, finish_run, model_run
from tasks.tracking.upkeep import catch_up, journals_folder

__all__ = [
    "ModelRun",
    "catch_up",
    "experiment_page",
    "finish_run",
    "log_evaluation",
    "model_run",
    "relocate_store",
]


def log_evaluation(
    environment: Environment, *, model: str, folder: Path, metrics: Mapping[str, Any], artifacts: Sequence[Path]
) -> None:
    """Log how good a model is to its run, found by the content of the model folder.

    Args:
        environment: where the tracking store is.
        model: "language-model", "classifier" or "completion".
        folder: the model folder; a model that this store has never seen gets a run made from the folder.
        metrics: numbers, nested as in ``reports/metrics.json``: the model's own become ``test/<name>``, those below
            another name (baselines, differences) ``versus/<names joined by _>``. Of a mapping
            ``{value, low, high}`` the ends are ``with_interval/...``; what is no number is left out.
        artifacts: files and folders (report, plots, samples), logged below ``evaluation/``.

    A tracking store that does not answer is a warning; the evaluation waits on disk (:func:`catch_up`).
    """
    keep_evaluation(journals_folder(environment), model, folder, metrics, artifacts)
    catch_up(environment)
