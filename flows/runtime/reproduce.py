"""Runs one stage through DVC in a process that the pipeline can stop: ``python -m flows.runtime.reproduce STAGE``.

Like ``dvc repro --single-item STAGE``, except that it waits for other DVC processes, never leaves an empty lock file
when it is killed, and records whether DVC ran the stage, restored its outputs from the cache, or failed.
"""

import argparse
import logging
import sys
from pathlib import Path

from flows.runtime.commands import run_command
from flows.runtime.dvc_locks import repair_locks, wait_for_others
from flows.runtime.dvc_repository import explained, is_restored, open_repository, reasons
from flows.runtime.stage_record import StageRecord
from lmcore.errors import UserError
from tasks.context.environment import Environment


def reproduce(name: str) -> bool:
    """Run a stage, or restore its outputs from DVC's cache; return whether the stage's command was run.

    Raises:
        UserError: if DVC cannot do it.
        SystemExit: if the stage itself failed; it has shown why.
    """
    from dvc.exceptions import ReproductionError
    from dvc.lock import LockError
    from dvc.stage.exceptions import StageCmdFailedError

    logging.getLogger("dvc").setLevel(logging.ERROR)
    while True:
        wait_for_others(Path.cwd())
        try:
            with explained(), open_repository() as repository:
                reproduced = repository.reproduce(targets=[name], single_item=True)
                return any(not is_restored(repository, stage) for stage in reproduced)
        except (ReproductionError, LockError) as error:
            if isinstance(error.__cause__ or error, LockError):  # another process was first
                repair_locks(Path.cwd())
                continue
            if isinstance(error.__cause__, StageCmdFailedError):
                raise SystemExit(1) from error
            raise UserError(reasons(error)) from error


def _reproduce_recorded(name: str) -> None:
    record = Environment().stage_record(name)
    try:
        was_run = reproduce(name)
    except Exception as error:
        StageRecord.failed(error).write(record)
        raise
    if not was_run:
        StageRecord(state="restored").write(record)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.runtime.reproduce", description="Run one stage of the pipeline through DVC."
    )
    parser.add_argument("stage")
    stage = parser.parse_args().stage
    sys.argv = ["python -m flows.pipeline, stage", stage]  # how DVC names this process to a command that it blocks
    run_command(f"stage {stage}", lambda: _reproduce_recorded(stage))


if __name__ == "__main__":
    main()
