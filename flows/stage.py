"""Runs a stage: as a Prefect flow where a server answers, plainly where none does, with equal results."""

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from flows.abandonment import stop_when_abandoned
from flows.commands import run_command
from flows.prefect_run import run_as_flow
from flows.resources import Resources, measured
from lmcore.files import write_json
from tasks.environment import Environment
from tasks.parameters import Parameters, load_parameters
from tasks.step import call_through

logger = logging.getLogger(__name__)

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
    error: BaseException | None = None
    try:
        with measured() as resources:
            _execute(stage, load_parameters(Path("params.yaml")), environment)
    except BaseException as caught:
        error = caught
        raise
    finally:
        _leave_record(environment.stage_record(stage.__name__), resources, error)


def _execute(stage: Stage, parameters: Parameters, environment: Environment) -> None:
    name = stage.__name__

    def work() -> None:
        stage(parameters)

    def as_flow(call: Callable[[], None]) -> None:
        section = getattr(parameters, name).model_dump(mode="json")
        run_name = f"{name} {environment.pipeline_id}" if environment.pipeline_id else None
        run_as_flow(
            call,
            name=name,
            run_name=run_name,
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


def _leave_record(path: Path, resources: Resources, error: BaseException | None) -> None:
    state = "completed" if error is None else "failed"
    details = None if error is None else "".join(traceback.format_exception(error))
    figures = {"seconds": resources.seconds, "peak_memory_bytes": resources.peak_memory_bytes}
    write_json(path, {"state": state, **figures, "traceback": details})
