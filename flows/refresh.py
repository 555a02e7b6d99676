"""Checks the sources and pins their current content in ``sources.lock``.  Run: ``python -m flows.refresh``.

The stages read exactly what is pinned. With ``dvc repro``, this command decides when new data are used; the pipeline
refreshes the sources first, so that a schedule picks up new data.
"""

import logging
from functools import partial

from flows.paths import LOCK, PARAMETERS
from flows.runtime.commands import check_arguments, run_command
from tasks.context.environment import Environment
from tasks.context.named_files import refresh_named_files
from tasks.context.parameters import Parameters, load_parameters
from tasks.context.source_lock import read_lock, set_aside_damaged_lock
from tasks.tracking import pin_registered_model, remove_unused_models

logger = logging.getLogger(__name__)

SHOWN_CHANGES = 20


def refresh(parameters: Parameters, environment: Environment) -> list[str]:
    """Update ``sources.lock`` to what the sources hold now; log and return the changes.

    A damaged ``sources.lock`` is moved aside and written again.
    """
    # This imports the readers of all formats, which a command that only checks the parameters does not need.
    from tasks.collect import refresh_lock

    set_aside_damaged_lock(LOCK, environment.work_folder / "damaged")
    # Each change is logged as soon as it is pinned: if the second call fails, no change was accepted silently.
    changes = _log_changes(
        refresh_named_files(parameters, lock=LOCK, pin_model=partial(pin_registered_model, environment))
    )
    changes += _log_changes(refresh_lock(parameters.collect, environment, lock=LOCK))
    pinned = {entry.content for entries in read_lock(LOCK).files.values() for entry in entries}
    for digest in remove_unused_models(environment, pinned):
        logger.info("Removed the copy of a registered model that is no longer used: %s", digest)
    if not changes:
        logger.info("All sources match %s", LOCK)
    return changes


def _log_changes(changes: list[str]) -> list[str]:
    for change in changes[:SHOWN_CHANGES]:
        logger.info("%s", change)
    if len(changes) > SHOWN_CHANGES:
        logger.info("... and %s more changes; see `git diff %s`", f"{len(changes) - SHOWN_CHANGES:,}", LOCK)
    return changes


def main() -> None:
    """The command line."""
    check_arguments("flows.refresh", "Check the sources, and pin their current content in sources.lock.")
    run_command("refresh", lambda: refresh(load_parameters(PARAMETERS), Environment()))


if __name__ == "__main__":
    main()
