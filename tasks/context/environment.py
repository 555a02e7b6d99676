"""Where things run: the settings from environment variables. What changes a result is in ``params.yaml``."""

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

    ``dvc exp run --temp`` and ``--queue`` run stages in ``PROJECT/.dvc/tmp/exps/NAME``, which has neither servers nor a
    tracking store.
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
    """The folder for everything that is not a stage output: servers, tracking store, caches, checkpoints, logs."""
    workers: PositiveInt = Field(default_factory=lambda: available_cpus())
    """The number of worker processes of a stage; never changes a result."""
    dask_address: str | None = None
    """A Dask scheduler (``tcp://host:8786``) whose workers process the data instead of local processes."""
    mlflow_port: PositiveInt = 5000
    prefect_port: PositiveInt = 4200
    """The preferred ports of the project's own servers."""
    schedule_cron: str = "0 3 * * *"
    schedule_timezone: Annotated[str, AfterValidator(_known_timezone)] = "UTC"
    """When the scheduled pipeline runs (``make schedule``), as a cron line and the IANA name of its time zone."""

    pipeline_id: str | None = None
    """The pipeline run that this process is part of; set by the pipeline."""
    parent_task_run_id: UUID | None = None
    """The Prefect task run that is the parent of a stage's flow run; set by the pipeline."""
    pipeline_process: ProcessIdentity | None = None
    """The process of that pipeline; set by the pipeline."""
    comparison_run: str | None = None
    """The tracked run of the comparison that this process is part of; set by ladder, scaling and sweep."""
    dvc_stage: str | None = Field(default=None, validation_alias="DVC_STAGE")
    """The stage that DVC runs this process for; set by DVC."""
    dvc_experiment: str | None = Field(default=None, validation_alias="DVC_EXP_NAME")
    """The DVC experiment that this process is part of; set by DVC."""

    configured_prefect_api_url: str | None = Field(default=None, validation_alias="PREFECT_API_URL")
    configured_mlflow_tracking_uri: str | None = Field(default=None, validation_alias="MLFLOW_TRACKING_URI")

    @cached_property
    def prefect_api_url(self) -> str | None:
        """The address of the Prefect API: the configured one, else the project's own; None if it does not answer."""
        own = read_server_record(self.server_record("prefect"))
        url = self.configured_prefect_api_url or (f"{own.url}/api" if own else None)
        return url if url and answers(f"{url.rstrip('/')}/health") else None

    @cached_property
    def mlflow_tracking_uri(self) -> str:
        """MLflow's tracking store: the configured one, else the project's server, else the server's SQLite file."""
        if self.configured_mlflow_tracking_uri:
            return self.configured_mlflow_tracking_uri
        own = read_server_record(self.server_record("mlflow"))
        return own.url if own and answers(f"{own.url}/health") else self.mlflow_store_uri

    @property
    def mlflow_store_uri(self) -> str:
        """The SQLite file that is shared by the project's MLflow server and runs without a server."""
        return store_uri(self.work_folder)

    @property
    def mlflow_artifacts_uri(self) -> str:
        """The artifact folder of new experiments, which is used with and without a server."""
        return (self.mlflow_folder / "artifacts").as_uri()

    def server_record(self, name: str) -> Path:
        """Where ``flows/runtime/server_process.py`` records the process and address of one of the project's servers."""
        return self.work_folder / "servers" / f"{name}.json"

    def stage_record(self, name: str) -> Path:
        """Where a stage records how its last run ended, its duration and its peak memory."""
        return self.work_folder / "stages" / f"{name}.json"

    def cache_folder(self, stage: str) -> Path:
        """The folder of a stage's artifact cache."""
        return self.work_folder / "cache" / stage

    def start_workers(self) -> Workers:
        """Start the processes, local or on a cluster, that process the data."""
        try:
            return Workers(self.workers, dask_address=self.dask_address)
        except OSError as error:
            raise OSError(f"{error}; LMCORE_DASK_ADDRESS sets the address") from error

    @property
    def downloads_folder(self) -> Path:
        """The folder for what sources have downloaded."""
        return self.work_folder / "downloads"

    @property
    def mlflow_folder(self) -> Path:
        """The folder of the tracking store."""
        return self.work_folder / "mlflow"


def prepare() -> None:
    """Point the libraries' folders into the work folder and turn telemetry off, by variables that are not yet set.

    Most libraries read these variables once, when they are imported: call this before.
    """
    withdraw_defaults()
    try:
        work_folder = Environment().work_folder
    except ValidationError:  # reported by the command that needs it
        work_folder = project_folder() / ".work"
    defaults = {
        **library_settings(work_folder),
        **START_SETTINGS,
        # Required by cuBLAS for deterministic algorithms, which a training may be configured to use.
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # a page of text for each event that a lost server missed
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_CLIENT_MAX_RETRIES": "2",  # a lost server delays each request by 6 s, not by a minute
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    # Without a server Prefect keeps nothing in its home folder.
    warnings.filterwarnings("ignore", "Failed to create the Prefect home directory", UserWarning)
    reach_loopback_directly()
    _close_to_others(work_folder / "dvc")


def _close_to_others(folder: Path) -> None:
    """DVC makes its index writable for all users, and whoever can write there can make DVC skip a stage."""
    with suppress(OSError):  # missing, or owned by another user
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)


def available_cpus() -> int:
    """The number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def answers(url: str) -> bool:
    """Whether a server answers at ``url`` within two seconds, with any HTTP status."""
    if not url.startswith(("http://", "https://")):
        return False
    try:
        with urlopen(Request(url, headers={"User-Agent": "lmcore"}), timeout=ANSWER_SECONDS):
            return True
    except HTTPError:
        return True
    except (URLError, OSError, ValueError):
        return False
