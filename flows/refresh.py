"""Looks at the sources again and pins what they hold now in ``sources.lock``.  Run: ``python -m flows.refresh``.

The stages read what is pinned and nothing else: whoever runs ``dvc repro`` decides by this command when data move. The
pipeline refreshes first, so that a schedule sees new data.
"""

import logging
from pathlib import Path

from flows.runtime.commands import run_command
from lmcore.text.sources.lock import mend_lock
from tasks.context.environment import Environment
from tasks.context.named_files import refresh_named_files
from tasks.context.parameters import Parameters, load_parameters

logger = logging.getLogger(__name__)

LOCK = Path("sources.lock")
SHOWN_CHANGES = 20


def refresh(parameters: Parameters, environment: Environment) -> list[str]:
    """Rewrite ``sources.lock`` if something holds what it does not say; show and return what has changed.

    One that cannot be read is set aside, and written anew.
    """
    # It brings the readers of all formats along, which nobody needs who only looks at parameters.
    from tasks.collect import refresh_lock

    mend_lock(LOCK, kept=environment.work_folder / "damaged")
    # Each is shown as soon as it is pinned: if the other fails, nothing has been accepted that nobody saw.
    changes = _shown(refresh_named_files(parameters, lock=LOCK))
    changes += _shown(refresh_lock(parameters.collect, environment, lock=LOCK))
    if not changes:
        logger.info("Every source holds what %s pins", LOCK)
    return changes


def _shown(changes: list[str]) -> list[str]:
    for change in changes[:SHOWN_CHANGES]:
        logger.info("%s", change)
    if len(changes) > SHOWN_CHANGES:
        logger.info("and %s more; `git diff %s` shows them", f"{len(changes) - SHOWN_CHANGES:,}", LOCK)
    return changes


def main() -> None:
    """The command line."""
    run_command("refresh", lambda: refresh(load_parameters(Path("params.yaml")), Environment()))


if __name__ == "__main__":
    main()
