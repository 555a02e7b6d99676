"""Brings what a journal holds to the tracking store, beside the training and never in its way."""

import threading
from typing import TYPE_CHECKING

from tasks.context.environment import Environment
from tasks.tracking.delivery import Delivery
from tasks.tracking.journal import Journal
from tasks.tracking.outages import join, say_again, say_once
from tasks.tracking.store import Calls, Store
from tasks.tracking.upkeep import tidy

if TYPE_CHECKING:
    from tasks.tracking.monitor import MachineMonitor

SECONDS_BETWEEN_DELIVERIES = 2.0
SECONDS_BETWEEN_ATTEMPTS = 20.0
STARTING_SECONDS = 4.0


class Courier:
    """A thread that delivers a journal every few seconds, and its outcome at the end.

    What cannot be delivered stays in the journal. The thread alone speaks with the store: the training waits for it
    for seconds, at its start and at its end, and not at all for a store that does not answer.
    """

    def __init__(self, environment: Environment, journal: Journal) -> None:
        self._environment = environment
        self._journal = journal
        self._calls = Calls()
        self._store: Store | None = None
        self._delivery: Delivery | None = None
        self._monitor: MachineMonitor | None = None
        self._has_failed = False
        self._has_tried = threading.Event()
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)

    def start(self) -> None:
        """Begin to deliver; the first attempt has a moment, so that a mistake in the settings shows at once."""
        self._thread.start()
        self._has_tried.wait(STARTING_SECONDS)

    def stop(self) -> None:
        """Deliver the rest and the outcome, as long as the store answers."""
        self._is_stopping.set()
        if not join(self._thread, self._calls):
            self._say_that_it_waits(TimeoutError("it has not answered for some seconds"))

    def _work(self) -> None:
        try:
            self._attempt()
            self._has_tried.set()
            while not self._is_stopping.wait(
                SECONDS_BETWEEN_ATTEMPTS if self._has_failed else SECONDS_BETWEEN_DELIVERIES
            ):
                self._attempt()
            if self._journal.is_finished():
                self._finish_monitor()  # else the outcome comes first, since this process may be killed next
            self._attempt()
            if self._has_failed:
                self._attempt()  # the server may be gone for good, and the file behind it there
            self._finish_monitor()
            if self._journal.record.is_closed and self._journal.is_finished():
                self._journal.remove()
        finally:
            self._journal.lock.release()

    def _attempt(self) -> None:
        try:
            delivery = self._connected()
            delivery.bring_up()
            if self._journal.record.outcome is not None:
                if not self._journal.record.is_closed:
                    delivery.close()
            elif not self._is_stopping.is_set():
                self._ensure_monitor(delivery)
        except Exception as error:  # whatever it is, it must not reach the training
            self._say_that_it_waits(error)
            self._has_failed = True
            # The project's own server may be gone for good; the next attempt goes to the file behind it.
            self._store = self._delivery = None
            self._environment = Environment(work_folder=self._environment.work_folder)
        else:
            say_again(self._environment)
            self._has_failed = False

    def _connected(self) -> Delivery:
        if self._store is None or self._delivery is None:
            self._store = Store(self._environment, self._calls)
            self._delivery = Delivery(self._store, self._journal)
            tidy(self._store, self._journal.folder.parent)
        return self._delivery

    def _ensure_monitor(self, delivery: Delivery) -> None:
        """Start to watch the machine; MLflow's monitor gives up when the server goes away."""
        from tasks.tracking.monitor import MachineMonitor

        if self._store and (self._monitor is None or self._monitor.has_ended):
            self._monitor = MachineMonitor(delivery.run_id, self._store.uri)
            self._monitor.start()  # type: ignore[no-untyped-call]

    def _finish_monitor(self) -> None:
        if self._monitor:
            with self._calls.call():
                self._monitor.finish()

    def _say_that_it_waits(self, error: BaseException) -> None:
        say_once(self._environment, self._journal.folder.parent, error)
