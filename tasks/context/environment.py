"""Where things run: the one place that reads the environment. What changes a result is in ``params.yaml``."""

import os
import warnings
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Annotated
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PositiveInt, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from lmcore.errors import UserError
from lmcore.runtime.workers import Workers
from tasks.context.library_settings import library_settings, reach_loopback_directly, store_uri, withdraw_defaults
from tasks.context.process import ProcessIdentity
from tasks.context.process_start import START_SETTINGS
from tasks.context.server_record import read_server_record

ANSWER_SECONDS = 2.0


def project_folder() -> Path:
    """The project that owns the work folder: the current folder, or the one a DVC experiment was copied from.

    ``dvc exp run --temp`` and ``--queue`` run stages in ``PROJECT/.dvc/tmp/exps/NAME``, where neither the
    servers nor the tracking store are.
    """
    here = Path.cwd()
    for folder in here.parents:
        if folder.name == "exps" and folder.parent.name == "tmp" and folder.parent.parent.name == ".dvc":
            return folder.parent.parent.parent
    return here


def _known_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UserError(f"{name!r} is not a time zone; expected a name such as UTC or Europe/Berlin") from error
    return name


class Environment(BaseSettings):
    """Settings from variables ``LMCORE_...``, and the addresses of the Prefect and MLflow servers."""

    model_config = SettingsConfigDict(env_prefix="LMCORE_", frozen=True, extra="ignore")

    work_folder: Annotated[Path, AfterValidator(Path.absolute)] = Field(
        default_factory=lambda: project_folder() / ".work"
    )
    """What is written and is no stage's output: servers, tracking store, caches, checkpoints, logs."""
    workers: PositiveInt = Field(default_factory=lambda: available_processors())
    """Processes that a stage may use; never changes a result."""
    dask_address: str | None = None
    """A Dask scheduler (``tcp://host:8786``) whose workers prepare the data instead of processes of this machine."""
    mlflow_port: PositiveInt = 5000
    prefect_port: PositiveInt = 4200
    """Ports the project's own servers try first."""
    schedule_cron: str = "0 3 * * *"
    schedule_timezone: Annotated[str, AfterValidator(_known_timezone)] = "UTC"
    """When a served pipeline runs (``make schedule``), and the IANA name of the time zone that this means."""

    pipeline_id: str | None = None
    """The pipeline execution this process belongs to; set by the pipeline."""
    parent_task_run_id: UUID | None = None
    """The Prefect task run a stage's flow run hangs below; set by the pipeline."""

    pipeline_process: ProcessIdentity | None = None
    """The process of that pipeline; set by the pipeline."""
    dvc_stage: str | None = Field(default=None, validation_alias="DVC_STAGE")
    """The stage that DVC runs this process for; set by DVC."""
    dvc_experiment: str | None = Field(default=None, validation_alias="DVC_EXP_NAME")
    """The DVC experiment that this process is part of; set by DVC."""

    configured_prefect_api_url: str | None = Field(default=None, validation_alias="PREFECT_API_URL")
    configured_mlflow_tracking_uri: str | None = Field(default=None, validation_alias="MLFLOW_TRACKING_URI")

    @cached_property
    def prefect_api_url(self) -> str | None:
        """The Prefect API to report to: as configured, else the project's own; None if it is silent."""
        own = read_server_record(self.server_record("prefect"))
        url = self.configured_prefect_api_url or (f"{own.url}/api" if own else None)
        return url if url and answers(f"{url.rstrip('/')}/health") else None

    @cached_property
    def mlflow_tracking_uri(self) -> str:
        """Where MLflow keeps its runs: as configured, else the project's server, else the file behind it."""
        if self.configured_mlflow_tracking_uri:
            return self.configured_mlflow_tracking_uri
        own = read_server_record(self.server_record("mlflow"))
        return own.url if own and answers(f"{own.url}/health") else self.mlflow_store_uri

    @property
    def mlflow_store_uri(self) -> str:
        """The SQLite file that the project's MLflow server and a run without any server share."""
        return store_uri(self.work_folder)

    @property
    def mlflow_artifacts_uri(self) -> str:
        """Where new experiments keep artifacts: a folder that is reached with and without a server."""
        return (self.mlflow_folder / "artifacts").as_uri()

    def server_record(self, name: str) -> Path:
        """Where ``flows/runtime/daemon.py`` notes the process and the address of one of the project's own servers."""
        return self.work_folder / "servers" / f"{name}.json"

    def stage_record(self, name: str) -> Path:
        """Where a stage leaves how its last run ended, its seconds and its peak memory."""
        return self.work_folder / "stages" / f"{name}.json"

    def pieces_folder(self, stage: str) -> Path:
        """Where a stage keeps pieces of work that are done, for the next time."""
        return self.work_folder / "pieces" / stage

    def start_workers(self) -> Workers:
        """The processes, here or on a cluster, that prepare data."""
        return Workers(self.workers, dask_address=self.dask_address)

    @property
    def downloads_folder(self) -> Path:
        """Where what sources fetch is kept."""
        return self.work_folder / "downloads"

    @property
    def mlflow_folder(self) -> Path:
        """The folder of the tracking store."""
        return self.work_folder / "mlflow"


def prepare() -> None:
    """Point the libraries' own folders into the work folder and switch telemetry off, unless already set.

    Most libraries read these variables once, when they are imported: call this before.
    """
    withdraw_defaults()
    try:
        work_folder = Environment().work_folder
    except ValidationError:  # the command that needs it says so in a line
        work_folder = project_folder() / ".work"
    defaults = {
        **library_settings(work_folder),
        **START_SETTINGS,
        # Without it cuBLAS has no deterministic algorithms, which a training may ask for.
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # a page of text for every event a lost server did not get
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_CLIENT_MAX_RETRIES": "2",  # for a server that is gone, work waits 6 s and not a minute a request
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    # Without a server Prefect keeps nothing in its home folder.
    warnings.filterwarnings("ignore", "Failed to create the Prefect home directory", UserWarning)
    reach_loopback_directly()
    _close_to_others(work_folder / "dvc")


def _close_to_others(folder: Path) -> None:
    """DVC makes its index writable for everybody; who writes there decides what DVC believes."""
    with suppress(OSError):  # not there yet, or somebody else's
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)


def available_processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def answers(url: str) -> bool:
    """Whether a server answers at ``url`` within two seconds, be it with a refusal."""
    if not url.startswith(("http://", "https://")):
        return False
    try:
        with urlopen(Request(url, headers={"User-Agent": "lmcore"}), timeout=ANSWER_SECONDS):
            return True
    except HTTPError:
        return True
    except (URLError, OSError, ValueError):
        return False
