"""Brings what a journal holds to the tracking store, beside the training and never in its way."""

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from tasks.environment import Environment
from tasks.tracking.journal import CHANGES_NAME, Journal
from tasks.tracking.store import MAX_METRICS, Store

if TYPE_CHECKING:
    from tasks.tracking.monitor import MachineMonitor

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_DELIVERIES = 2.0
SECONDS_BETWEEN_ATTEMPTS = 20.0


def deliver(store: Store, journal: Journal) -> str:
    """Bring the store to what the journal says, the outcome excepted; answers the run id of the row."""
    run_id = _ensure_row(store, journal)
    while True:
        points, offset = journal.unsent(MAX_METRICS)
        if not points:
            return run_id
        store.log_points(run_id, points)
        journal.mark_sent(offset)


def describe_failure(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


class Courier:
    """A thread that delivers a journal every few seconds; what cannot be delivered stays in the journal."""

    def __init__(self, environment: Environment, journal: Journal, prepare: Callable[[Store], None]) -> None:
        """Args: where the store is, what to bring there, and what to do there first."""
        self.store: Store | None = None
        self._environment = environment
        self._journal = journal
        self._prepare = prepare
        self._monitor: MachineMonitor | None = None
        self._has_failed = False
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)

    def start(self) -> None:
        """Open the row now, so that a mistake in the settings shows at once, and deliver from now on."""
        self._attempt()
        self._thread.start()

    def stop(self, patience_seconds: float) -> bool:
        """Deliver the rest and stop; answers whether the store has everything."""
        self._is_stopping.set()
        self._thread.join(patience_seconds)
        return not self._thread.is_alive() and not self._has_failed

    def _work(self) -> None:
        while not self._is_stopping.wait(SECONDS_BETWEEN_ATTEMPTS if self._has_failed else SECONDS_BETWEEN_DELIVERIES):
            self._attempt()
        if self._monitor:
            self._monitor.finish()
        self._attempt()
        if self._has_failed:
            self._attempt()

    def _attempt(self) -> None:
        try:
            self.store = self.store or self._connect()
            run_id = deliver(self.store, self._journal)
            if not self._is_stopping.is_set():
                self._ensure_monitor(self.store, run_id)
        except Exception as error:  # whatever it is, it must not reach the training
            self._report(error)
            self._has_failed = True
            # The project's own server may be gone for good; the next attempt goes to the file behind it.
            self.store = None
            self._environment = Environment(work_folder=self._environment.work_folder)
        else:
            if self._has_failed:
                logger.info("MLflow at %s has all figures again", self._environment.mlflow_tracking_uri)
            self._has_failed = False

    def _connect(self) -> Store:
        store = Store(self._environment)
        self._prepare(store)
        return store

    def _ensure_monitor(self, store: Store, run_id: str) -> None:
        """Start to watch the machine; MLflow's monitor gives up when the server goes away."""
        from tasks.tracking.monitor import MachineMonitor

        if self._monitor is None or self._monitor.has_ended:
            self._monitor = MachineMonitor(run_id, store.uri)
            self._monitor.start()  # type: ignore[no-untyped-call]

    def _report(self, error: Exception) -> None:
        if not self._has_failed:
            logger.warning(
                "MLflow at %s does not take this training's figures (%s); the training goes on and they wait in %s",
                self._environment.mlflow_tracking_uri,
                describe_failure(error),
                self._journal.folder,
            )


def _ensure_row(store: Store, journal: Journal) -> str:
    run_id = journal.row.run_id
    if run_id is None:
        run_id = store.create_row(journal.row)
        journal.update(run_id=run_id)
    if not journal.row.is_described:
        store.describe_row(run_id, journal.row, journal.folder / CHANGES_NAME)
        journal.update(is_described=True)
    return run_id
