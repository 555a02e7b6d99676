"""The tracking store: this project's experiment in MLflow, and what is written to a run of it."""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tasks.context.environment import Environment
from tasks.tracking.location import check_named_store, relocate_store, without_password
from tasks.tracking.record import Dataset, Point, RunRecord, flatten_parameters

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Experiment

T = TypeVar("T")

EXPERIMENT = "lmcore"
EXPERIMENT_NOTE = """One run per trained model; the runs of one execution have the same tag `pipeline.id` \
(group by it). Curves are under `train/` and `validation/`, the evaluation under `test/` (`versus/`: compared \
with other models, `with_interval/`: ends of the 95 % intervals); report, plots and samples are in a run's \
artifacts under `evaluation/`."""

# Most that MLflow takes at once.
MAX_METRICS = 1000
MAX_PARAMETERS = 100
MAX_TAGS = 100
MAX_TAG_CHARACTERS = 8000
UPLOAD_BYTES_PER_SECOND = 5_000_000
MAKING_SECONDS = 60.0
"""How long MLflow may take to make its tables in a new file."""

# Which journal a run was made from: a run that is there already is never made again.
JOURNAL_TAG = "training.id"

QUIET_AND_IMPATIENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # what fails is an exception, and said once by this project
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # whatever does not arrive is sent again later
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


class Calls:
    """Whether the store is being asked now, and since when; other threads wait for it only as long as it answers."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._patience = 0.0

    @contextmanager
    def call(self, patience_seconds: float = 0.0) -> Iterator[None]:
        """A request to the store, which may take so many seconds longer than others."""
        before = self._since, self._patience
        self._since, self._patience = time.monotonic(), patience_seconds
        try:
            yield
        finally:
            self._since, self._patience = before

    def silent_seconds(self) -> float:
        """For how long the store has owed an answer, beyond the time that such a request may take."""
        since, patience = self._since, self._patience
        return 0.0 if since is None else time.monotonic() - since - patience


class _Client:
    """MLflow's client, whose every request is known to :class:`Calls`."""

    def __init__(self, client: "MlflowClient", calls: Calls) -> None:
        self._client, self._calls = client, calls

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._client, name)

        def ask(*arguments: Any, **options: Any) -> Any:
            with self._calls.call():
                return function(*arguments, **options)

        return ask


class Store:
    """The experiment in which this project's runs are.

    Raises:
        mlflow.exceptions.MlflowException: by every method, when the store does not answer or refuses.
        FileNotFoundError: where ``MLFLOW_TRACKING_URI`` names a file in a folder that does not exist.
    """

    def __init__(self, environment: Environment, calls: Calls) -> None:
        for name, value in QUIET_AND_IMPATIENT.items():
            os.environ.setdefault(name, value)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # a line for every request sent again
        # Imported here: it takes two seconds, which only stages that track pay.
        import mlflow

        self.calls = calls
        environment.mlflow_folder.mkdir(parents=True, exist_ok=True)
        with calls.call():
            relocate_store(environment)
            self.uri = environment.mlflow_tracking_uri
        check_named_store(environment)
        if not self.uri.startswith("http"):
            # What the client imports by itself, and then takes a second for on a busy machine.
            import mlflow.store.model_registry.sqlalchemy_store
            import mlflow.store.tracking.sqlalchemy_store
        is_new = self.uri == environment.mlflow_store_uri and not (environment.mlflow_folder / "mlflow.db").exists()
        self._connect(mlflow.MlflowClient, self.uri, MAKING_SECONDS if is_new else 0.0)
        experiment = self._find_or_create_experiment(environment)
        is_own_server = not environment.configured_mlflow_tracking_uri and self.uri != environment.mlflow_store_uri
        if is_own_server and experiment.artifact_location != environment.mlflow_artifacts_uri:
            # A server that runs over another folder, of which this one is a copy.
            self.uri = environment.mlflow_store_uri
            self._connect(mlflow.MlflowClient, self.uri)
            experiment = self._find_or_create_experiment(environment)
        self.experiment_id = str(experiment.experiment_id)
        self.shown_uri = without_password(environment.configured_mlflow_tracking_uri or environment.mlflow_store_uri)
        """Where people find it, with and without a server."""

    def _connect(self, client: Callable[[str, str], "MlflowClient"], uri: str, patience_seconds: float = 0.0) -> None:
        _set_address(uri)
        with self.calls.call(patience_seconds):
            self.client = _Client(client(uri, uri), self.calls)

    def has_run(self, run_id: str) -> bool:
        """Whether the run is there and not deleted."""
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

        try:
            return bool(self.client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                return False
            raise

    def find_run(self, condition: str) -> str | None:
        """The newest run that fits a condition of MLflow's search."""
        runs = self.client.search_runs(
            [self.experiment_id], condition, max_results=1, order_by=["attributes.start_time DESC"]
        )
        return str(runs[0].info.run_id) if runs else None

    def create_run(self, record: RunRecord, name: str) -> str:
        """Open the run of the journal called ``name`` and answer its run id; one that is there already is found."""
        if found := self.find_run(f"tags.`{JOURNAL_TAG}` = '{name}'"):
            return found
        tags = _fitting({JOURNAL_TAG: name, **_page_tags(record), **record.tags})
        run = self.client.create_run(self.experiment_id, record.start_time, tags, run_name=record.name)
        return str(run.info.run_id)

    def describe_run(self, run_id: str, record: RunRecord, changes: Path) -> None:
        """Write what is known before the training starts, again if need be: parameters, data sets, lineage, and
        ``changes`` if it exists."""
        from mlflow.entities import LoggedModelInput, Param

        known = self.client.get_run(run_id)
        parameters = [
            Param(name, value)
            for name, value in flatten_parameters(record.parameters).items()
            if name not in known.data.params
        ]
        for some in chunks(parameters, MAX_PARAMETERS):
            self.client.log_batch(run_id, params=some)
        models = {item.model_id for item in known.inputs.model_inputs} if known.inputs else set()
        self.client.log_inputs(
            run_id,
            datasets=[_dataset_input(dataset) for dataset in record.datasets],
            models=[LoggedModelInput(model) for model in self._models_of(record.base_digest) if model not in models],
        )
        with self.calls.call():
            self.client.log_dict(run_id, record.parameters, "parameters.json")
            self.client.log_dict(run_id, record.facts, "lineage.json")
            if changes.exists():
                self.client.log_artifact(run_id, str(changes))

    def log_files(self, run_id: str, folder: Path, name: str) -> None:
        """Write a folder's files below ``name`` of a run's artifacts."""
        with self.calls.call(upload_seconds(folder)):
            self.client.log_artifacts(run_id, str(folder), name)

    def steps_of(self, run_id: str, name: str) -> set[int]:
        """The steps at which a run has a figure."""
        return {metric.step for metric in self.client.get_metric_history(run_id, name)}

    def log_points(self, run_id: str, points: Sequence[Point], model_id: str | None = None) -> None:
        """Write figures, also to the logged model ``model_id`` if there is one."""
        from mlflow.entities import Metric

        metrics = [Metric(*point, model_id=model_id, run_id=run_id if model_id else None) for point in points]
        for some in chunks(metrics, MAX_METRICS):
            self.client.log_batch(run_id, metrics=some)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Write tags, replacing those with the same names."""
        from mlflow.entities import RunTag

        for some in chunks([RunTag(name, value) for name, value in _fitting(tags).items()], MAX_TAGS):
            self.client.log_batch(run_id, tags=some)

    def _models_of(self, digest: str | None) -> list[str]:
        """The id of the newest logged model with this content, if there is one."""
        if digest is None:
            return []
        models = self.client.search_logged_models(
            [self.experiment_id],
            f"tags.`model.digest` = '{digest}'",
            max_results=1,
            order_by=[{"field_name": "creation_timestamp", "ascending": False}],
        )
        return [str(model.model_id) for model in models]

    def _find_or_create_experiment(self, environment: Environment) -> "Experiment":
        from mlflow.exceptions import MlflowException

        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            # Another server may not see this machine's folders: it decides itself where artifacts go.
            is_other_server = environment.configured_mlflow_tracking_uri and self.uri.startswith("http")
            location = None if is_other_server else environment.mlflow_artifacts_uri
            tags = {
                "mlflow.note.content": EXPERIMENT_NOTE,
                "mlflow.experimentKind": "custom_model_development",
            }
            with suppress(MlflowException):  # two processes may create it at the same time; then the other one has
                self.client.create_experiment(EXPERIMENT, location, tags)
            experiment = self.client.get_experiment_by_name(EXPERIMENT)
        if experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        return cast("Experiment", experiment)


def upload_seconds(folder: Path) -> float:
    """How much longer than a request the upload of a folder may take."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / UPLOAD_BYTES_PER_SECOND


def chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The values in pieces of at most ``size``."""
    return (values[start : start + size] for start in range(0, len(values), size))


def _set_address(uri: str) -> None:
    """Tell the functions of MLflow that take no client where the store is, and nobody else.

    MLflow would leave it in the process's environment, where it would stand for something the user has set.
    """
    import mlflow

    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    before = {name: os.environ.get(name) for name in names}
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _page_tags(record: RunRecord) -> dict[str, str]:
    """What MLflow's page shows in columns of its own."""
    return {
        "mlflow.user": record.facts.get("process.user", ""),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": f"python -m flows.{record.stage}",
        "mlflow.source.git.commit": record.facts.get("git.commit", ""),
    }


def _fitting(tags: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value if len(value) <= MAX_TAG_CHARACTERS else f"{value[: MAX_TAG_CHARACTERS - 2]} …"
        for name, value in tags.items()
        if value
    }


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
