"""One stage through DVC, in a process of its own that the pipeline can stop: ``python -m flows.reproduce STAGE``.

It is ``dvc repro --single-item STAGE`` that waits for other DVC processes, leaves no lock file empty when it is killed,
and says in the stage's record why DVC could not do it.
"""

import argparse
import logging
import sys
from pathlib import Path

from flows.runtime.commands import run_command
from flows.runtime.dvc_locks import mend_locks, wait_for_others
from flows.runtime.dvc_repository import explained, open_repository, reasons
from flows.runtime.stage_record import StageRecord
from lmcore.errors import UserError
from tasks.context.environment import Environment

logger = logging.getLogger("flows.reproduce")  # also where this file is run as a command


def reproduce(name: str) -> None:
    """Run a stage, or restore its outputs from DVC's cache.

    Raises:
        UserError: if DVC cannot do it.
        SystemExit: if the stage itself failed, which has said why.
    """
    from dvc.exceptions import ReproductionError
    from dvc.lock import LockError
    from dvc.stage.exceptions import StageCmdFailedError

    logging.getLogger("dvc").setLevel(logging.ERROR)
    while True:
        wait_for_others(Path.cwd())
        try:
            with explained(), open_repository() as repository:
                repository.reproduce(targets=[name], single_item=True)
            return
        except (ReproductionError, LockError) as error:
            if isinstance(error.__cause__ or error, LockError):  # another process came first
                mend_locks(Path.cwd())
                continue
            if isinstance(error.__cause__, StageCmdFailedError):
                raise SystemExit(1) from error
            raise UserError(reasons(error)) from error


def _reproduce_recorded(name: str) -> None:
    try:
        reproduce(name)
    except Exception as error:
        record = StageRecord.failed(error, seconds=0.0, peak_memory_bytes=0)
        record.write(Environment().stage_record(name))
        raise


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.reproduce", description="One stage through DVC.")
    parser.add_argument("stage")
    stage = parser.parse_args().stage
    sys.argv = ["python -m flows.pipeline, stage", stage]  # what DVC tells a command that it refuses meanwhile
    run_command(f"stage {stage}", lambda: _reproduce_recorded(stage))


if __name__ == "__main__":
    main()
