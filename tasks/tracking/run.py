"""The run of a training, and the thread that brings MLflow up to it without delaying the training."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lmcore.runtime.files import folder_digest
from lmcore.training.signals import DeferredSignals
from tasks.context.environment import Environment
from tasks.context.lineage import dataset_digest, lineage, uncommitted_changes
from tasks.tracking.client import Requests, Store, one_line, without_password
from tasks.tracking.local_run import (
    Continued,
    Dataset,
    LocalRun,
    Outcome,
    RunInfo,
    new_run_folder,
    newest_run_folder,
    now,
)
from tasks.tracking.outbox import is_empty, sync_outbox, tracking_folder
from tasks.tracking.projection import Projection

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

logger = logging.getLogger(__name__)

SYNC_SECONDS = 2.0
"""The time between two syncs while MLflow answers."""
RETRY_SECONDS = 20.0
"""The time between two syncs while it does not."""
START_SECONDS = 4.0
"""How long the start of a training waits for the first sync."""
MAX_DELAY_SECONDS = 4.0
"""How long a request may have no answer before nobody waits for MLflow any more."""
MAX_END_SECONDS = 60.0
"""How long the end of a training waits for a store that answers slowly."""
KEPT_FIELDS = ("start_time", "run_id", "continued")
"""What a run keeps when its training is resumed."""
SIGNAL_EXIT_CODES = 128
"""Exit codes above this one are those of signals."""

_warned_uris: set[str] = set()
_delayed: list["Uploader"] = []


class ModelRun:
    """The run of a training in progress; :func:`model_run` makes one."""

    def __init__(self, local: LocalRun, uploader: "Uploader") -> None:
        self._local, self._uploader = local, uploader

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of a step; takes microseconds, because another thread sends them to MLflow.

        In MLflow ``validation_loss`` is called ``validation/loss``, and names without such a prefix ``train/<name>``.
        A value that the step already has, from before the training was resumed, is kept.
        """
        self._local.log_metrics(step, metrics)

    def continues(self, training: str, step: int) -> None:
        """Note that the training continues an earlier one, whose run becomes the parent of this one.

        Args:
            training: the name of the earlier training's checkpoint folder.
            step: the step from which it is continued.
        """
        self._local.update(continued=Continued(training=training, step=step))

    def finish(self, *folders: Path) -> None:
        """Log the finished model; the last call in the block.

        Args:
            folders: the model folder, and copies of it to use if it is gone before MLflow has it.
        """
        self._end(_finished(self._local, folders))

    def finish_comparison(self, folder: Path) -> None:
        """Log the table and the figures of a comparison; the last call in the block of a run without a model."""
        self._end(_finished(self._local, [folder]).model_copy(update={"has_model": False}))

    @property
    def name(self) -> str:
        """The name of the local run, by which the runs of a comparison name their parent."""
        return self._local.folder.name

    @property
    def is_ended(self) -> bool:
        """Whether the outcome is known."""
        return self._local.info.outcome is not None

    def abort(self, error: BaseException) -> None:
        """End without a model: FAILED after an error, KILLED after an interruption."""
        status: Literal["FAILED", "KILLED"] = "FAILED" if isinstance(error, Exception) else "KILLED"
        self._end(Outcome(status=status, end_time=now(), error=_reason(error)))

    def _end(self, outcome: Outcome) -> None:
        with DeferredSignals():
            self._local.update(outcome=outcome)
            self._uploader.stop()


@contextmanager
def model_run(
    environment: Environment,
    *,
    stage: str,
    model: str,
    family: str | None,
    parameters: Mapping[str, Any],
    datasets: Sequence[Path],
    work_folder: Path,
    resumed_from_step: int,
    base_model: Path | None = None,
) -> Iterator[ModelRun]:
    """Open the run of a training; a training that was interrupted continues its run, even if it starts over.

    An exception leaves the run FAILED with the tag ``error``; Ctrl-C or the exit after SIGTERM leaves it KILLED. If
    MLflow does not answer, one warning is logged; everything waits on disk for the next sync or the next stage.

    Args:
        environment: where the tracking store is.
        stage: the DVC stage, "pretrain" or "finetune".
        model: "language-model", "classifier" or "completion".
        family: the family of the model.
        parameters: nested values, logged under dotted names.
        datasets: the datasets, such as ``data/tokens``, relative to the current folder.
        work_folder: the folder of the training's checkpoints, after which the local run is named.
        resumed_from_step: the step of the checkpoint that the training resumes from, or 0.
        base_model: the folder of the model that the training starts from.

    Raises:
        RuntimeError: if the block ends without :meth:`ModelRun.finish`.
    """
    facts = lineage(environment, Path.cwd(), stage)
    info = RunInfo(
        model=model,
        family=family,
        stage=stage,
        start_time=now(),
        lineage=facts,
        parameters=dict(parameters),
        datasets=[_dataset(path, facts) for path in datasets],
        base_digest=folder_digest(base_model) if base_model else None,
        parent=environment.comparison_run,
    )
    parent = tracking_folder(environment)
    local = _open_latest(parent, work_folder)
    if local is not None and local.info.is_finished:
        local.lock.release()
        local = None
    if local is None:
        local = LocalRun.create(new_run_folder(parent, work_folder), info, uncommitted_changes(Path.cwd()))
    else:
        count = int(local.info.resume_tags.get("resume.count", "0")) + 1
        new = {
            name: getattr(info, name)
            for name in RunInfo.model_fields
            if name not in ("start_time", "run_id", "continued")
        }
        tags = {"resume.count": str(count), "resume.from_step": str(resumed_from_step)}
        local.update(**new | {"resume_tags": tags})
    uploader = Uploader(environment, local)
    run = ModelRun(local, uploader)
    try:
        uploader.start()
        yield run
        if not run.is_ended:
            raise RuntimeError(f"the training of {model} ended without run.finish(model_folder)")
    except BaseException as error:
        if not run.is_ended:
            run.abort(error)
        raise


def finish_run(environment: Environment, work_folder: Path, *folders: Path) -> None:
    """Finish the run of a training whose process was killed after the model was saved; does nothing if it is complete.

    Args:
        environment: where the tracking store is.
        work_folder: the folder of the training's checkpoints.
        folders: the model folder and copies of it.
    """
    local = _open_latest(tracking_folder(environment), work_folder)
    if local is None:
        return
    if not local.info.is_finished:
        local.update(outcome=_finished(local, folders), is_synced=False)
    uploader = Uploader(environment, local)
    uploader.start()
    uploader.stop()


def catch_up(environment: Environment) -> None:
    """Send what MLflow has missed; takes no time if that is nothing, and seconds if MLflow still does not answer."""
    if is_empty(tracking_folder(environment)):
        return
    uploader = Uploader(environment)
    if any(delayed.is_alive() for delayed in _delayed):
        uploader.warn(TimeoutError("an earlier request has not been answered yet"))
        return
    uploader.start()
    uploader.stop()


class Uploader:
    """A thread that syncs with MLflow: first what other processes left, then a run, every few seconds.

    Only this thread talks to MLflow. The training waits for it at its start and its end, for seconds, and stops
    waiting as soon as a request has no answer. What is not sent stays on disk.
    """

    def __init__(self, environment: Environment, local: LocalRun | None = None) -> None:
        self._environment, self._local = environment, local
        self._requests = Requests()
        self._store: Store | None = None
        self._projection: Projection | None = None
        self._monitor: SystemMetricsMonitor | None = None
        self._has_failed = False
        self._has_tried, self._is_stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)

    def start(self) -> None:
        """Start the thread, and wait briefly for the first sync, so that a mistake in the settings shows at once."""
        self._thread.start()
        self._has_tried.wait(START_SECONDS)

    def stop(self) -> None:
        """Send the rest and the outcome, as long as MLflow answers."""
        self._is_stopping.set()
        end = time.monotonic() + MAX_END_SECONDS
        while self.is_alive() and self._requests.delay_seconds() < MAX_DELAY_SECONDS and time.monotonic() < end:
            self._thread.join(0.05)
        if self.is_alive():
            _delayed[:] = [*(uploader for uploader in _delayed if uploader.is_alive()), self]
            self.warn(TimeoutError("no answer for several seconds"))

    def is_alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def warn(self, error: BaseException) -> None:
        """Warn that the store does not accept anything, once until it does."""
        uri = self._environment.mlflow_tracking_uri
        if uri not in _warned_uris:
            _warned_uris.add(uri)
            logger.warning(
                "MLflow at %s does not accept metrics (%s); the stage continues, and the metrics are kept in %s for "
                "the next stage",
                without_password(uri),
                one_line(error),
                tracking_folder(self._environment),
            )

    def _run(self) -> None:
        try:
            self._try_sync()
            self._has_tried.set()
            while not self._is_stopping.wait(RETRY_SECONDS if self._has_failed else SYNC_SECONDS):
                self._try_sync()
            if self._local and self._local.info.is_finished:
                self._stop_monitor()  # in all other cases the outcome comes first: the process may be killed next
            self._try_sync()
            if self._has_failed:
                self._try_sync()  # the server may have stopped for good; then the database file is used
            self._stop_monitor()
            if self._local and self._local.info.is_synced and self._local.info.is_finished:
                self._local.remove()
        finally:
            if self._local:
                self._local.lock.release()

    def _try_sync(self) -> None:
        try:
            if self._store is None:
                self._store = Store(self._environment, self._requests)
                sync_outbox(self._store, tracking_folder(self._environment))
            if self._local is not None:
                self._projection = self._projection or Projection(self._store, self._local)
                run_id = self._projection.sync()
                if self._local.info.outcome is None and not self._is_stopping.is_set():
                    self._ensure_monitor(run_id, self._store.uri)
        except Exception as error:  # nothing that happens here may reach the training
            self.warn(error)
            self._has_failed = True
            self._store = self._projection = None
            # If the project's own server has stopped, the new environment has the address of the database file.
            self._environment = Environment(work_folder=self._environment.work_folder)
        else:
            uri = self._environment.mlflow_tracking_uri
            if uri in _warned_uris:
                _warned_uris.remove(uri)
                logger.info("MLflow at %s is available again and up to date", without_password(uri))
            self._has_failed = False

    def _ensure_monitor(self, run_id: str, uri: str) -> None:
        """Start MLflow's system metrics (``system/``), which end when the server stops answering."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        if not self._monitor_is_alive():
            self._monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=uri)  # type: ignore[no-untyped-call]
            self._monitor.start()  # type: ignore[no-untyped-call]

    def _stop_monitor(self) -> None:
        if self._monitor is not None and self._monitor_is_alive():
            with self._requests.request():
                self._monitor.finish()  # type: ignore[no-untyped-call]

    def _monitor_is_alive(self) -> bool:
        thread = None if self._monitor is None else self._monitor._process
        return thread is not None and thread.is_alive()


def _open_latest(parent: Path, work_folder: Path) -> LocalRun | None:
    """The last local run of the training with these checkpoints, if no process has it."""
    folder = newest_run_folder(parent, work_folder)
    return LocalRun.open(folder) if folder else None


def _finished(local: LocalRun, folders: Sequence[Path]) -> Outcome:
    work_folder = local.folder.parents[1]
    return Outcome(
        status="FINISHED",
        end_time=now(),
        folders=[os.path.relpath(folder.absolute(), work_folder) for folder in folders],
        digest=folder_digest(folders[0]),
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt) and not str(error):
        return "killed: interrupted by Ctrl-C"
    if isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > SIGNAL_EXIT_CODES:
        return f"killed: terminated by {signal.Signals(error.code - SIGNAL_EXIT_CODES).name}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _dataset(path: Path, facts: Mapping[str, str]) -> Dataset:
    summary = path / "summary.json"
    profile = summary.read_text(encoding="utf-8") if summary.exists() else "{}"
    return Dataset(path=path.as_posix(), digest=dataset_digest(Path.cwd(), path, facts), profile=profile)
