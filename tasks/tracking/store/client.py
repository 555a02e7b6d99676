"""The MLflow client: where the tracking store is, and requests whose duration is known."""

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tasks.context.environment import Environment
from tasks.tracking.store.experiment import EXPERIMENT, EXPERIMENT_NOTE
from tasks.tracking.store.relocation import relocate_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

logger = logging.getLogger(__name__)

MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # failures are exceptions, which this project logs once
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # what fails is sent again later
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
CREATE_DATABASE_SECONDS = 60.0
"""How long MLflow may take to create its tables in a new file."""
UPLOAD_BYTES_PER_SECOND = 5_000_000

# MLflow refuses names with any other character.
REFUSED_IN_NAMES = re.compile(r"[^\w\-. /:]")
MAX_NAME_CHARACTERS = 250

# MLflow decodes percent escapes twice when it reads an artifact and once when it writes it.
PERCENT_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")


class Requests:
    """Measures how long MLflow takes to answer, so that other threads can stop waiting for it."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._allowed_seconds = 0.0

    @contextmanager
    def request(self, extra_seconds: float = 0.0) -> Iterator[None]:
        """A block that waits for MLflow; ``extra_seconds`` do not count as delay, as in the upload of a large model."""
        before = self._since, self._allowed_seconds
        self._since, self._allowed_seconds = time.monotonic(), extra_seconds
        try:
            yield
        finally:
            self._since, self._allowed_seconds = before

    def delay_seconds(self) -> float:
        """For how long the current request has had no answer; 0 between requests."""
        since, allowed = self._since, self._allowed_seconds
        return 0.0 if since is None else time.monotonic() - since - allowed


class _MeasuredClient:
    """MLflow's client; each call is a request of :class:`Requests`."""

    def __init__(self, client: "MlflowClient", requests: Requests) -> None:
        self._client, self._requests = client, requests

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            with self._requests.request():
                return function(*arguments, **options)

        return call


class Store:
    """A connection to the tracking store, with the experiment that holds this project's runs.

    Raises:
        mlflow.exceptions.MlflowException: from any method, if the store does not answer or refuses the request.
        FileNotFoundError: if ``MLFLOW_TRACKING_URI`` names a file in a folder that does not exist.
    """

    def __init__(self, environment: Environment, requests: Requests) -> None:
        for name, value in MLFLOW_SETTINGS.items():
            os.environ.setdefault(name, value)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it logs every retry
        # This import takes two seconds, which only stages that track anything should pay for.
        import mlflow

        self.requests = requests
        environment.mlflow_folder.mkdir(parents=True, exist_ok=True)
        with requests.request():
            relocate_store(environment)
            self.uri = environment.mlflow_tracking_uri
        _check_configured_store(environment)
        if not self.uri.startswith("http"):
            # The client imports these on first use, which on a busy machine takes as long as an outage.
            import mlflow.store.model_registry.sqlalchemy_store
            import mlflow.store.tracking.sqlalchemy_store
        is_new = self.uri == environment.mlflow_store_uri and not (environment.mlflow_folder / "mlflow.db").exists()
        self._connect(mlflow.MlflowClient, CREATE_DATABASE_SECONDS if is_new else 0.0)
        experiment = self._find_or_create_experiment(environment)
        is_own_server = not environment.configured_mlflow_tracking_uri and self.uri != environment.mlflow_store_uri
        if is_own_server and experiment.artifact_location != environment.mlflow_artifacts_uri:
            # The server belongs to another folder, of which this one is a copy.
            self.uri = environment.mlflow_store_uri
            self._connect(mlflow.MlflowClient)
            experiment = self._find_or_create_experiment(environment)
        self.experiment_id = str(experiment.experiment_id)
        self.shown_uri = without_password(environment.configured_mlflow_tracking_uri or environment.mlflow_store_uri)
        """The address shown to users, valid whether or not a server runs."""

    def has_run(self, run_id: str, *, or_deleted: bool = False) -> bool:
        """Whether the store has the run; a run deleted in the UI counts only with ``or_deleted``."""
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

        try:
            run = self.client.get_run(run_id)
            return or_deleted or bool(run.info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                return False
            raise

    def find_run(self, condition: str) -> str | None:
        """The id of the newest run that matches a filter string of MLflow's search."""
        runs = self.client.search_runs(
            [self.experiment_id], condition, max_results=1, order_by=["attributes.start_time DESC"]
        )
        return str(runs[0].info.run_id) if runs else None

    def _connect(self, client: Callable[[str, str], "MlflowClient"], extra_seconds: float = 0.0) -> None:
        set_default_uri(self.uri)
        with self.requests.request(extra_seconds):
            self.client = _MeasuredClient(client(self.uri, self.uri), self.requests)

    def _find_or_create_experiment(self, environment: Environment) -> "Experiment":
        from mlflow.exceptions import MlflowException

        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            # A foreign server may not see this machine's folders: it chooses the artifact location itself.
            is_foreign = environment.configured_mlflow_tracking_uri and self.uri.startswith("http")
            location = None if is_foreign else environment.mlflow_artifacts_uri
            tags = {"mlflow.note.content": EXPERIMENT_NOTE, "mlflow.experimentKind": "custom_model_development"}
            with suppress(MlflowException):  # another process may have created it at the same time
                self.client.create_experiment(EXPERIMENT, location, tags)
            experiment = self.client.get_experiment_by_name(EXPERIMENT)
        if experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        return cast("Experiment", experiment)


def safe_name(name: str) -> str:
    """A name as MLflow accepts it."""
    return REFUSED_IN_NAMES.sub("_", name)[:MAX_NAME_CHARACTERS]


def leaves(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The innermost values of nested mappings, with their keys from the outside in."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*path, str(name)))
        else:
            yield (*path, str(name)), value


def upload_seconds(folder: Path) -> float:
    """How much longer than other requests the upload of a folder may take."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / UPLOAD_BYTES_PER_SECOND


def set_default_uri(uri: str) -> None:
    """Set the address for MLflow functions that take no client, without leaving it in the process's environment.

    There it would look like one of the user's settings.
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


def without_password(uri: str) -> str:
    """An address without the user name and password of a server."""
    scheme, separator, rest = uri.partition("://")
    server, slash, path = rest.partition("/")
    return f"{scheme}{separator}{server.rpartition('@')[2]}{slash}{path}"


def one_line(error: BaseException) -> str:
    """An error for a message."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _check_configured_store(environment: Environment) -> None:
    if escape := PERCENT_ESCAPE.search(str(environment.mlflow_folder)):
        logger.warning("MLflow cannot load models below a folder with %s in its path: rename it", escape.group())
    uri = environment.configured_mlflow_tracking_uri or ""
    if not uri.startswith("sqlite:///") or uri == environment.mlflow_store_uri:
        return
    path = Path(uri.removeprefix("sqlite:///"))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"MLFLOW_TRACKING_URI={uri}: there is no folder {path.parent}; correct it or create it")
    if not path.exists():
        logger.warning("MLFLOW_TRACKING_URI=%s: the file does not exist yet; creating an empty tracking store", uri)
