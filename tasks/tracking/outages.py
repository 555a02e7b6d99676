"""Limits the cost of an unresponsive MLflow to seconds and one warning."""

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.context.environment import Environment
from tasks.tracking.location import without_password
from tasks.tracking.store import Calls

logger = logging.getLogger(__name__)

SILENT_SECONDS = 4.0
"""For so long a request may be without an answer before nobody waits for it any more."""
ENDING_SECONDS = 60.0
"""So long the end of a training may take with a store that answers, but slowly."""

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_warned: set[str] = set()
_left_behind: list[threading.Thread] = []


def patiently(work: Callable[[], object], calls: Calls) -> None:
    """Do work that asks the store, in a thread of its own, as long as the store answers.

    Raises:
        TimeoutError: if it does not; the thread goes on and is left behind.
        Exception: that of the work.
    """
    if any(thread.is_alive() for thread in _left_behind):
        raise TimeoutError("an earlier request still waits for its answer")
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=attempt, name="tracking", daemon=True)
    thread.start()
    if not join(thread, calls):
        _left_behind.append(thread)
        raise TimeoutError(f"no answer within {SILENT_SECONDS:.0f} s")
    if errors:
        raise errors[0]


def join(thread: threading.Thread, calls: Calls, seconds: float = ENDING_SECONDS) -> bool:
    """Wait for the end of a thread while the store answers it; whether it has come."""
    end = time.monotonic() + seconds
    while thread.is_alive() and calls.silent_seconds() < SILENT_SECONDS and time.monotonic() < end:
        thread.join(0.05)
    return not thread.is_alive()


@contextmanager
def undisturbed() -> Iterator[None]:
    """A block that a signal or Ctrl-C does not cut short: what comes in it counts afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals interrupt the main thread alone
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if came:
        signal.raise_signal(came[-1])


def say_once(environment: Environment, folder: Path, error: BaseException) -> None:
    """Warn that the store does not accept metrics, once until it does."""
    uri = environment.mlflow_tracking_uri
    if uri in _warned:
        return
    _warned.add(uri)
    logger.warning(
        "MLflow at %s does not accept metrics (%s); the stage continues, and the metrics are kept in %s for the next "
        "stage",
        without_password(uri),
        describe_failure(error),
        folder,
    )


def say_again(environment: Environment) -> None:
    """The store answers (again)."""
    uri = environment.mlflow_tracking_uri
    with contextlib.suppress(KeyError):
        _warned.remove(uri)
        logger.info("MLflow at %s is available again and up to date", without_password(uri))


def describe_failure(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
