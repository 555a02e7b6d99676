"""Runs a stage's flow as a command: checks the parameters, calls the flow, and records how it ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from flows.paths import PARAMETERS
from flows.runtime.commands import check_arguments, run_command
from flows.runtime.parent_watchdog import stop_when_abandoned
from flows.runtime.resources import measured
from flows.runtime.stage_record import StageRecord
from tasks.context.environment import Environment
from tasks.context.exclusive import exclusive
from tasks.context.parameters import Parameters, load_parameters
from tasks.context.prefect import Flow

DVC_TEMPORARY = Path(".dvc/tmp")

Stage = Flow[[Parameters, Environment], None]


def run_stage(stage: Stage) -> NoReturn:
    """Run a stage as a command, which exits with 1 if the stage fails.

    All of ``params.yaml`` is checked first. Duration, peak memory and the error, if any, are written to
    ``stages/NAME.json`` in the work folder.
    """
    check_arguments(f"flows.{stage.name}", f"Run the stage {stage.name}; `dvc repro` does so if it is not up to date.")
    run_command(stage.name, lambda: _run_recorded(stage))


def _run_recorded(stage: Stage) -> None:
    environment = Environment()
    stop_when_abandoned(environment.pipeline_process, is_started_by_dvc=environment.dvc_stage is not None)
    record = environment.stage_record(stage.name)
    try:
        with measured() as resources, _stage_lock(stage.name):
            parameters = load_parameters(PARAMETERS, consequence=_consequence(environment))
            stage.showing(getattr(parameters, stage.name))(parameters, environment)
    except BaseException as error:
        StageRecord.failed(error, **asdict(resources)).write(record)
        raise
    StageRecord(state="ran", **asdict(resources)).write(record)


def _consequence(environment: Environment) -> str:
    if environment.dvc_stage is None:
        return "nothing was started"
    # DVC removes the outputs of a stage before it starts it.
    return f"{environment.dvc_stage} was not run, and `dvc checkout` restores the outputs that DVC removed for it"


@contextmanager
def _stage_lock(name: str) -> Iterator[None]:
    """One execution of a stage at a time: one whose DVC process was killed may still be running."""
    if not DVC_TEMPORARY.parent.is_dir():
        yield
        return
    DVC_TEMPORARY.mkdir(exist_ok=True)
    notice = f"{name} is still running in another process; waiting for it to finish"
    with exclusive(DVC_TEMPORARY / f"stage-{name}.lock", notice):
        yield
