"""MLflow as a projection of what is on disk: brings an MLflow run up to date with its local run and training record.

:meth:`Projection.sync` is idempotent. It asks MLflow what it has and sends the rest, so it is the same call while a
training runs, at its end, after a resume, and for whatever MLflow missed while its server was away.
"""

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lmcore.training.record import TrainingRecord
from tasks.tracking.local_run import CHANGES_NAME, LocalRun
from tasks.tracking.models.description import refresh_description
from tasks.tracking.models.model import log_model
from tasks.tracking.run_info import Dataset, Metric, Outcome, RunInfo
from tasks.tracking.store.client import Store, leaves, safe_name, upload_seconds

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

logger = logging.getLogger(__name__)

T = TypeVar("T")

# The most that MLflow takes at once.
MAX_METRICS = 1000
MAX_PARAMETERS = 100
MAX_PARAMETER_CHARACTERS = 6000
MAX_TAGS = 100
MAX_TAG_CHARACTERS = 8000

PARENT_TAG = "mlflow.parentRunId"
LOCAL_RUN_TAG = "training.id"
"""The tag with the name of the local run, so that no MLflow run is ever created twice."""

# The fields of the training record that are metrics, with the names under which the UI groups them.
RECORD_METRICS = {
    "n_parameters": "train/n_parameters",
    "n_targets": "train/n_targets",
    "n_skipped_steps": "train/n_skipped_steps",
    "best_validation_loss": "validation/best_loss",
}


class Projection:
    """One MLflow run, and the local run that it is brought up to date with.

    What was sent is remembered only to save requests: a new projection of the same local run sends nothing twice.
    """

    def __init__(self, store: Store, local: LocalRun) -> None:
        self._store, self._local = store, local
        self._run_id: str | None = None
        self._steps: dict[str, set[int]] = {}
        self._n_sent = 0
        self._is_linked = False

    def sync(self) -> str:
        """Send everything that MLflow does not have, with the model or the reason why there is none; return the run id.

        A failed run gets its status first, because this process may be killed next; a finished one gets it last, so
        that a run that says FINISHED is complete.
        """
        if self._run_id is None:
            self._run_id = self._open_run()
        run_id, outcome = self._run_id, self._local.info.outcome
        if self._local.info.is_synced:
            return run_id
        if outcome is not None and outcome.status != "FINISHED":
            set_tags(self._store, run_id, {"error": outcome.error or ""})
            self._store.client.set_terminated(run_id, outcome.status, outcome.end_time)
        self._link_to_parent()
        new = self._local.metrics[self._n_sent :]
        self._send(new)
        self._n_sent += len(new)
        if outcome is None:
            return run_id
        if outcome.status == "FINISHED" and outcome.has_model:
            self._send_model(outcome)
        self._store.client.update_run(run_id, name=self._local.info.name)
        if outcome.has_model:
            refresh_description(self._store, run_id)
        else:
            self._send_comparison()
        if outcome.status == "FINISHED":
            self._store.client.set_terminated(run_id, outcome.status, outcome.end_time)
        self._local.update(is_synced=True)
        return run_id

    def _open_run(self) -> str:
        """Find or create the run, and send what is known before the training starts."""
        store, local = self._store, self._local
        info, known_id = local.info, local.info.run_id
        run_id = known_id if known_id and store.has_run(known_id) else _find_or_create_run(store, local)
        if run_id != known_id:
            local.update(run_id=run_id)
        run = store.client.get_run(run_id)
        _send_parameters(store, run_id, info.parameters, known=run.data.params)
        models = {item.model_id for item in run.inputs.model_inputs} if run.inputs else set()
        _send_inputs(store, run_id, info, known_models=models)
        with store.requests.request():
            store.client.log_dict(run_id, info.parameters, "parameters.json")
            store.client.log_dict(run_id, info.lineage, "lineage.json")
            if (changes := local.folder / CHANGES_NAME).exists():
                store.client.log_artifact(run_id, str(changes))
        set_tags(store, run_id, {**info.tags, **_parent_tag(store, info.parent)})
        if info.outcome is None and run.info.status != "RUNNING":
            store.client.update_run(run_id, status="RUNNING")
        if "error" in run.data.tags and not (info.outcome and info.outcome.error):
            store.client.delete_tag(run_id, "error")
        return run_id

    def _link_to_parent(self) -> None:
        """Make the run of the training that this one continues its parent, under which the UI shows it."""
        continued = self._local.info.continued
        if continued is None or self._is_linked:
            return
        tags = {"continued.training": continued.training, "continued.from_step": str(continued.step)}
        if parent := self._store.find_run(f"tags.`{LOCAL_RUN_TAG}` LIKE '%-{continued.training}'"):
            tags[PARENT_TAG] = parent
        set_tags(self._store, self._run_id or "", tags)
        self._is_linked = True

    def _send_model(self, outcome: Outcome) -> None:
        assert self._run_id is not None
        folder, digest = self._local.model_folder(), outcome.digest or ""
        tags = {"model.digest": digest}
        if folder is None:
            folders = ", ".join(Path(name).name for name in outcome.folders)
            tags["model.missing"] = (
                f"no folder holds it any longer ({folders}): another training replaced it before it was sent. The "
                "commands in the description recreate it"
            )
        else:
            record = TrainingRecord.read(folder)
            self._send(record_metrics(record, self._local.info.start_time, outcome.end_time))
            if self._local.info.is_kept:
                log_model(self._store, self._run_id, folder, digest, self._local.info)
        set_tags(self._store, self._run_id, tags)

    def _send_comparison(self) -> None:
        """Send the files of a comparison; its Markdown is also the run's description."""
        folder = self._local.model_folder()
        if folder is None:
            set_tags(self._store, self._run_id or "", {"artifacts.missing": "the folder has changed since"})
            return
        with self._store.requests.request(upload_seconds(folder)):
            self._store.client.log_artifacts(self._run_id, str(folder))
        text = "\n\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md")))
        set_tags(self._store, self._run_id or "", {"mlflow.note.content": text})

    def _send(self, metrics: Sequence[Metric]) -> None:
        """Send the metrics without those whose step MLflow has."""
        named = [metric._replace(name=metric_name(metric.name)) for metric in metrics]
        for part in chunks([metric for metric in named if self._is_new(metric)], MAX_METRICS):
            log_metrics(self._store, self._run_id or "", part)
            for metric in part:
                self._steps[metric.name].add(metric.step)

    def _is_new(self, metric: Metric) -> bool:
        if metric.name not in self._steps:
            history = self._store.client.get_metric_history(self._run_id, metric.name)
            self._steps[metric.name] = {known.step for known in history}
        return metric.step not in self._steps[metric.name]


def record_metrics(record: TrainingRecord, start_time: int, end_time: int) -> list[Metric]:
    """The metrics in a training record: those that models are compared by, and the history."""
    values = record.to_json()
    compared = [Metric(name, float(values[field]), start_time, 0) for field, name in RECORD_METRICS.items()]
    if record.best_metric is not None:
        compared.append(Metric(f"validation/best_{record.metric_for_best_model}", record.best_metric, start_time, 0))
    history = [
        Metric(name, float(value), end_time, int(metrics["step"]))
        for metrics in record.history
        for name, value in metrics.items()
        if name != "step"
    ]
    return compared + history


def metric_name(name: str) -> str:
    """The name of a training metric in MLflow, whose part before ``/`` is its group in the UI.

    ``validation_loss`` is ``validation/loss``, ``loss`` is ``train/loss``; a name with a group keeps it.
    """
    if "/" in name:
        return name
    return f"validation/{name.removeprefix('validation_')}" if name.startswith("validation_") else f"train/{name}"


def flatten_parameters(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Nested parameters as text by dotted name; text that is too long for MLflow is truncated with a note."""
    return {safe_name(".".join(path)): _as_text(value) for path, value in leaves(parameters)}


def log_metrics(store: Store, run_id: str, metrics: Sequence[Metric], model_id: str | None = None) -> None:
    """Log metrics to a run, and to its logged model ``model_id`` if there is one."""
    from mlflow.entities import Metric as MlflowMetric

    entities = [MlflowMetric(*metric, model_id=model_id, run_id=run_id if model_id else None) for metric in metrics]
    for part in chunks(entities, MAX_METRICS):
        store.client.log_batch(run_id, metrics=part)


def set_tags(store: Store, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a run, replacing those with the same names."""
    from mlflow.entities import RunTag

    for part in chunks([RunTag(name, value) for name, value in _truncated(tags).items()], MAX_TAGS):
        store.client.log_batch(run_id, tags=part)


def chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The values in sequences of at most ``size``."""
    return (values[start : start + size] for start in range(0, len(values), size))


def _find_or_create_run(store: Store, local: LocalRun) -> str:
    if found := store.find_run(f"tags.`{LOCAL_RUN_TAG}` = '{local.folder.name}'"):
        return found
    info = local.info
    columns = {  # which the UI shows in columns of their own
        "mlflow.user": info.lineage.get("process.user", ""),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": f"python -m flows.{info.stage}",
        "mlflow.source.git.commit": info.lineage.get("git.commit", ""),
    }
    tags = _truncated({LOCAL_RUN_TAG: local.folder.name, **columns, **info.tags})
    run = store.client.create_run(store.experiment_id, info.start_time, tags, run_name=info.name)
    return str(run.info.run_id)


def _parent_tag(store: Store, parent: str | None) -> dict[str, str]:
    """The tag by which MLflow shows a run below the run of its comparison, if MLflow has that."""
    run_id = store.find_run(f"tags.`{LOCAL_RUN_TAG}` = '{parent}'") if parent else None
    return {"mlflow.parentRunId": run_id} if run_id else {}


def _send_parameters(store: Store, run_id: str, parameters: Mapping[str, Any], *, known: Collection[str]) -> None:
    from mlflow.entities import Param

    flat = flatten_parameters(parameters)
    for part in chunks([Param(name, value) for name, value in flat.items() if name not in known], MAX_PARAMETERS):
        store.client.log_batch(run_id, params=part)


def _send_inputs(store: Store, run_id: str, info: RunInfo, *, known_models: Collection[str]) -> None:
    """Log the datasets, and the base model if the store has it, as the run's inputs."""
    from mlflow.entities import LoggedModelInput

    models = []
    if info.base_digest is not None:
        models = store.client.search_logged_models(
            [store.experiment_id],
            f"tags.`model.digest` = '{info.base_digest}'",
            max_results=1,
            order_by=[{"field_name": "creation_timestamp", "ascending": False}],
        )
    new = [LoggedModelInput(str(model.model_id)) for model in models if model.model_id not in known_models]
    store.client.log_inputs(run_id, datasets=[_dataset_input(dataset) for dataset in info.datasets], models=new)


def _dataset_input(dataset: Dataset) -> "DatasetInput":
    from mlflow.entities import Dataset as MlflowDataset
    from mlflow.entities import DatasetInput, InputTag

    entity = MlflowDataset(
        name=dataset.path,
        digest=dataset.digest,
        source_type="dvc",
        source=json.dumps({"path": dataset.path, "digest": dataset.digest}),
        profile=dataset.profile,
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])


def _truncated(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that are not empty, as long as MLflow accepts them."""
    return {
        name: value if len(value) <= MAX_TAG_CHARACTERS else f"{value[: MAX_TAG_CHARACTERS - 2]} …"
        for name, value in tags.items()
        if value
    }


def _as_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) <= MAX_PARAMETER_CHARACTERS:
        return text
    note = f" … ({len(text):,} characters, whole in parameters.json)"
    return text[: MAX_PARAMETER_CHARACTERS - len(note)] + note
