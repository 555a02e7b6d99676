"""Sets right what earlier executions left: runs that still say RUNNING, and what could not be delivered."""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from tasks.context.environment import Environment
from tasks.context.sealed import read_sealed
from tasks.tracking.delivery import Delivery
from tasks.tracking.evaluations import deliver_evaluation, waiting_evaluations
from tasks.tracking.journal import RECORD_NAME, Journal, journal_folders
from tasks.tracking.outages import describe_failure, patiently, say_once
from tasks.tracking.record import Outcome, RunRecord
from tasks.tracking.store import JOURNAL_TAG, Calls, Store

logger = logging.getLogger(__name__)


def journals_folder(environment: Environment) -> Path:
    """Where everything is that the store does not have yet."""
    return environment.work_folder / "tracking"


def catch_up(environment: Environment) -> None:
    """Deliver what an unreachable tracking store has missed; costs nothing where it has missed nothing, and seconds
    where the store still does not answer."""
    folder = journals_folder(environment)
    is_closed = [journal.record.is_closed for journal in _free_journals(folder)]
    if all(is_closed) and not waiting_evaluations(folder):
        return
    calls = Calls()
    try:
        patiently(lambda: tidy(Store(environment, calls), folder), calls)
    except Exception as error:  # whatever it is, the work that is tracked does not depend on it
        say_once(environment, folder, error)


def tidy(store: Store, folder: Path) -> None:
    """Close the runs of processes that have gone, deliver evaluations, remove journals that nobody needs again."""
    for journal in _free_journals(folder):
        if not journal.record.is_closed:
            _try(journal.folder, partial(close_orphan, store, journal))
        if journal.record.is_closed and not journal.is_resumable():
            journal.remove()
    coming = _models_to_come(folder)
    for entry in waiting_evaluations(folder):
        _try(entry, partial(deliver_evaluation, store, entry, coming))


def close_orphan(store: Store, journal: Journal) -> None:
    """Close the run of a process that has gone: KILLED at the time of its last sign of life if it left no word."""
    record = journal.record
    if record.run_id and not store.has_run(record.run_id) and _has_heard(store, record.run_id):
        journal.update(is_closed=True)  # someone has deleted the run: that counts
        return
    known = store.find_run(f"tags.`{JOURNAL_TAG}` = '{journal.folder.name}'")
    if known and not journal.is_finished() and store.client.get_run(known).info.status == "FINISHED":
        journal.update(is_closed=True)  # what is damaged or was cut off does not undo what MLflow knows
        return
    if record.outcome is None:
        end = journal.last_sign_of_life()
        journal.update(outcome=Outcome(status="KILLED", end_time=end, error="killed: its process ended without a word"))
    Delivery(store, journal).close()


def _models_to_come(folder: Path) -> set[str]:
    """The digests of models whose runs another process or thread is about to deliver."""
    digests = set()
    for found in journal_folders(folder):
        with suppress(OSError, ValueError):
            record = read_sealed(found / RECORD_NAME, RunRecord)
            if record.outcome and record.outcome.digest and not record.is_closed:
                digests.add(record.outcome.digest)
    return digests


def _has_heard(store: Store, run_id: str) -> bool:
    """Whether the store knows the run, be it a deleted one; another store has never heard of it."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.get_run(run_id)
    except MlflowException:
        return False
    return True


def _free_journals(folder: Path) -> Iterator[Journal]:
    """Each journal whose process has gone, kept from others until the next one is asked for."""
    for found in journal_folders(folder):
        try:
            journal = Journal.take_over(found)
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be read (%s); remove it to give it up", found, describe_failure(error))
            continue
        if journal is not None:
            try:
                yield journal
            finally:
                journal.lock.release()


def _try(folder: Path, delivery: Callable[[], None]) -> None:
    """One thing that cannot be delivered does not keep the others back."""
    try:
        delivery()
    except Exception as error:
        reason = describe_failure(error)
        logger.warning("MLflow did not take %s, it is tried again later (%s); remove it to give it up", folder, reason)
