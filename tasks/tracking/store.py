"""The tracking store: this project's experiment in MLflow, and what is written to a row of it."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tasks.environment import Environment
from tasks.tracking.row import Dataset, Point, Row, flatten_parameters

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

T = TypeVar("T")

EXPERIMENT = "lmcore"
EXPERIMENT_NOTE = """One row per trained model; what belongs to one execution has the same tag `pipeline.id` \
(group by it). Curves are under `train/` and `validation/`, the evaluation under `test/` (`versus/`: beside \
other models, `with_interval/`: ends of the 95 % intervals); report, plots and samples are a row's artifacts \
`evaluation/`."""

# Most that MLflow takes at once.
MAX_METRICS = 1000
MAX_PARAMETERS = 100
MAX_TAGS = 100
MAX_TAG_CHARACTERS = 8000

QUIET_AND_IMPATIENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # whatever does not arrive is sent again later
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


class Store:
    """The experiment in which this project's rows are.

    Raises:
        mlflow.exceptions.MlflowException: by every method, when the store does not answer or refuses.
    """

    def __init__(self, environment: Environment) -> None:
        for name, value in QUIET_AND_IMPATIENT.items():
            os.environ.setdefault(name, value)
        # Imported here: it takes two seconds, which only stages that track pay.
        import mlflow

        self.uri = environment.mlflow_tracking_uri
        environment.mlflow_folder.mkdir(parents=True, exist_ok=True)
        _set_address(self.uri)
        self.client = mlflow.MlflowClient(self.uri, self.uri)
        self.experiment_id = self._find_or_create_experiment(environment)

    def has_row(self, run_id: str) -> bool:
        """Whether the row is there and not deleted."""
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

        try:
            return bool(self.client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                return False
            raise

    def create_row(self, row: Row) -> str:
        """Open a row and answer its run id."""
        tags = _fitting({**_page_tags(row), **row.tags})
        run = self.client.create_run(self.experiment_id, row.start_time, tags, run_name=row.name)
        return str(run.info.run_id)

    def describe_row(self, run_id: str, row: Row, changes: Path) -> None:
        """Write what is known before the training starts: parameters, data sets, and ``changes`` if it exists."""
        from mlflow.entities import LoggedModelInput, Param

        parameters = [Param(name, value) for name, value in flatten_parameters(row.parameters).items()]
        for some in chunks(parameters, MAX_PARAMETERS):
            self.client.log_batch(run_id, params=some)
        self.client.log_inputs(
            run_id,
            datasets=[_dataset_input(dataset) for dataset in row.datasets],
            models=[LoggedModelInput(model_id) for model_id in self._models_of(row.base_digest)],
        )
        self.client.log_dict(run_id, row.parameters, "parameters.json")
        if changes.exists():
            self.client.log_artifact(run_id, str(changes))

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

    def _find_or_create_experiment(self, environment: Environment) -> str:
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
            try:
                return str(self.client.create_experiment(EXPERIMENT, location, tags))
            except MlflowException:
                # Two processes may create it at the same time; then the other one has.
                experiment = self.client.get_experiment_by_name(EXPERIMENT)
                if experiment is None:
                    raise
        if experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)


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


def _page_tags(row: Row) -> dict[str, str]:
    """The model, and what MLflow's page shows in columns of its own."""
    return {
        "model.name": row.model,
        "model.base_digest": row.base_digest or "",
        "mlflow.user": row.tags.get("process.user", ""),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": f"python -m flows.{row.stage}",
        "mlflow.source.git.commit": row.tags.get("git.commit", ""),
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
