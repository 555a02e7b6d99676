"""MLflow tracking: one run per trained model, with what is needed to assess the model and to restore it.

No other package imports MLflow, and this one only when a stage tracks something, because the import takes seconds.
Everything is first written below ``tracking/`` in the work folder and from there brought to MLflow, so that neither a
killed training nor an unreachable server loses or duplicates anything.

The path of a run: ``run`` writes to ``local_run``; ``uploader`` calls ``projection``, and ``outbox`` for what other
processes left; these bring the tracking store (``store``) up to date, including the model (``models``).

* :func:`model_run` opens the run of a training, or continues that of an interrupted one;
* :func:`finish_run` finishes the run of a model whose process was killed after it was saved;
* :func:`log_evaluation` adds an evaluation to the run of a model, which is found by the model's digest;
* :func:`catch_up` sends what MLflow missed while it did not answer;
* :func:`relocate_store` updates the paths in the store after its folder was moved or copied;
* :func:`pin_registered_model` and :func:`registered_model_folder` give models of the registry to start from, and
  :func:`remove_unused_models` removes the copies of those that are no longer used;
* :func:`experiment_page` is the address of the runs in the MLflow UI.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.context.environment import Environment
from tasks.tracking.models.registry import pin_registered_model, registered_model_folder, remove_unused_models
from tasks.tracking.outbox import save_evaluation, tracking_folder
from tasks.tracking.run import ModelRun, catch_up, finish_run, model_run
from tasks.tracking.store.experiment import experiment_page
from tasks.tracking.store.relocation import relocate_store

__all__ = [
    "ModelRun",
    "catch_up",
    "experiment_page",
    "finish_run",
    "log_evaluation",
    "model_run",
    "pin_registered_model",
    "registered_model_folder",
    "relocate_store",
    "remove_unused_models",
]


def log_evaluation(
    environment: Environment,
    *,
    model: str,
    folder: Path,
    metrics: Mapping[str, Any],
    artifacts: Sequence[Path],
    prompts: Mapping[str, str] | None = None,
) -> None:
    """Log an evaluation to the run of its model; if MLflow does not answer, it waits on disk for :func:`catch_up`.

    Args:
        environment: where the tracking store is.
        model: "language-model", "classifier" or "completion".
        folder: the model folder; a model that the store does not know gets a run made from the folder.
        metrics: nested as in ``reports/metrics.json``: the model's own become ``test/<name>``, those below another
            name (baselines, differences) ``versus/<names joined by _>``. Of a mapping ``{value, low, high}`` the ends
            become ``with_interval/...``. Values that are not numbers are left out.
        artifacts: files and folders (report, plots, samples), logged below ``evaluation/``.
        prompts: templates of prompts that were compared, by name: they are registered and linked to the run.
    """
    save_evaluation(
        tracking_folder(environment),
        model=model,
        model_folder=folder,
        metrics=metrics,
        artifacts=artifacts,
        prompts=prompts or {},
    )
    catch_up(environment)
