"""Sets right what earlier executions left: rows that still say RUNNING, and what could not be delivered."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tasks.environment import Environment
from tasks.tracking.closing import close_orphan
from tasks.tracking.courier import describe_failure
from tasks.tracking.evaluations import deliver_evaluation, waiting_evaluations
from tasks.tracking.journal import Journal, journals
from tasks.tracking.store import Store

logger = logging.getLogger(__name__)


def journals_folder(environment: Environment) -> Path:
    """Where everything is that the store does not have yet."""
    return environment.work_folder / "tracking"


def catch_up(environment: Environment) -> None:
    """Deliver what an unreachable tracking store has missed; costs nothing where it has missed nothing."""
    folder = journals_folder(environment)
    if any(_needs_closing(journal) for journal in journals(folder)) or waiting_evaluations(folder):
        try:
            tidy(Store(environment), folder)
        except Exception as error:  # whatever it is, the work that is tracked does not depend on it
            logger.warning(
                "MLflow at %s cannot be reached; what it misses waits in %s and is delivered by the next stage "
                "that tracks (%s)",
                environment.mlflow_tracking_uri,
                folder,
                describe_failure(error),
            )


def tidy(store: Store, folder: Path, *, keep: Path | None = None) -> None:
    """Close the rows of processes that have gone, deliver evaluations, remove journals that nobody needs again.

    Args:
        store: where the rows are.
        folder: that of all journals.
        keep: the journal that is being continued.
    """
    for journal in journals(folder):
        if journal.folder == keep or not journal.is_done():
            continue
        if not journal.row.is_closed:
            _try(journal.folder, partial(close_orphan, store, journal))
        if journal.row.is_closed and not journal.is_resumable():
            journal.remove()
    for entry in waiting_evaluations(folder):
        _try(entry, partial(deliver_evaluation, store, entry))


def _needs_closing(journal: Journal) -> bool:
    return not journal.row.is_closed and journal.is_done()


def _try(folder: Path, delivery: Callable[[], None]) -> None:
    """One thing that cannot be delivered does not keep the others back."""
    try:
        delivery()
    except Exception as error:
        reason = describe_failure(error)
        logger.warning("MLflow did not take %s, it is tried again later (%s); remove it to give it up", folder, reason)
