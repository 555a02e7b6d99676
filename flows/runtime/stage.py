"""Runs a stage: as a Prefect flow where a server answers, plainly where none does, with equal results."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from flows.runtime.commands import run_command
from flows.runtime.parent_watchdog import stop_when_abandoned
from flows.runtime.prefect_run import run_as_flow
from flows.runtime.resources import measured
from flows.runtime.stage_record import StageRecord
from tasks.context.environment import Environment
from tasks.context.exclusive import exclusive
from tasks.context.parameters import Parameters, load_parameters
from tasks.step import call_through

logger = logging.getLogger(__name__)

DVC_TEMPORARY = Path(".dvc/tmp")

Stage = Callable[[Parameters], None]


def run_stage(stage: Stage) -> NoReturn:
    """Run a stage as a command, which exits with 1 if the stage fails.

    The whole of ``params.yaml`` is checked first. Seconds, peak memory and the error, if any, are left in
    ``stages/NAME.json`` of the work folder.
    """
    run_command(stage.__name__, lambda: _run_recorded(stage))


def _run_recorded(stage: Stage) -> None:
    environment = Environment()
    stop_when_abandoned(environment.pipeline_process, is_started_by_dvc=environment.dvc_stage is not None)
    record = environment.stage_record(stage.__name__)
    try:
        with measured() as resources, _alone(stage.__name__):
            parameters = load_parameters(Path("params.yaml"), consequence=_consequence(environment))
            _execute(stage, parameters, environment)
    except BaseException as error:
        StageRecord.failed(error, **asdict(resources)).write(record)
        raise
    StageRecord(state="completed", **asdict(resources), message=None, traceback=None).write(record)


def _execute(stage: Stage, parameters: Parameters, environment: Environment) -> None:
    name = stage.__name__

    def work() -> None:
        stage(parameters)

    def as_flow(call: Callable[[], None]) -> None:
        section = getattr(parameters, name).model_dump(mode="json")
        run_as_flow(
            call,
            name=name,
            run_name=f"{name} {_execution(environment)}",
            parameters=section,
            is_cached=lambda _: False,
            api_url=str(api_url),
            environment=environment,
        )

    if (api_url := environment.prefect_api_url) is None:
        if environment.pipeline_id is None:  # else the pipeline has said so
            logger.info("%s: no Prefect server answers, so it will not show this run; `make up` starts one", name)
        work()
    else:
        call_through(as_flow, work)


def _execution(environment: Environment) -> str:
    """What this execution of a stage belongs to: a pipeline, an experiment of DVC's, or nothing but its moment."""
    return environment.pipeline_id or os.environ.get("DVC_EXP_NAME") or f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


def _consequence(environment: Environment) -> str:
    if environment.dvc_stage is None:
        return "nothing was started"
    # DVC removes the outputs of a stage before it starts it.
    return f"{environment.dvc_stage} was not run, and `dvc checkout` restores the outputs that DVC removed for it"


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """One execution of a stage at a time: one whose DVC was killed may still be about to end."""
    if not DVC_TEMPORARY.parent.is_dir():
        yield
        return
    DVC_TEMPORARY.mkdir(exist_ok=True)
    with exclusive(DVC_TEMPORARY / f"stage-{name}.lock", f"{name} still runs in another process; waiting for its end"):
        yield
