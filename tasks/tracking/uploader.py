"""The thread that brings MLflow up to date with what is on disk, without delaying the training."""

import logging
import threading
import time
from typing import TYPE_CHECKING

from tasks.context.environment import Environment
from tasks.tracking.local_run import LocalRun
from tasks.tracking.outbox import sync_outbox, tracking_folder
from tasks.tracking.projection import Projection
from tasks.tracking.store.client import Requests, Store, one_line, without_password

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
"""How long a request may have no answer before everything stops waiting for MLflow."""
MAX_END_SECONDS = 60.0
"""How long the end of a training waits for a store that answers slowly."""

_warned_uris: set[str] = set()
_delayed: list["Uploader"] = []


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
        """Whether the thread is still running."""
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


def is_answer_pending() -> bool:
    """Whether MLflow has yet to answer a request that nothing waits for any longer."""
    return any(uploader.is_alive() for uploader in _delayed)
