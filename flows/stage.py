"""Runs a stage: as a Prefect flow where a server answers, plainly where none does, with equal results."""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from flows.flow_runs import close_abandoned_runs, record_flow_run
from flows.logs import log_to_flow_run, log_to_terminal
from flows.resources import Resources, measured
from lmcore.files import write_json
from tasks.environment import Environment
from tasks.parameters import Parameters, load_parameters
from tasks.step import call_through

logger = logging.getLogger(__name__)

Stage = Callable[[Parameters], None]

PACKAGES = ("lmcore", "tasks", "flows")


def run_stage(stage: Stage) -> None:
    """Run a stage as a command; the process exits with 1 if it fails.

    The whole of ``params.yaml`` is checked first. Seconds, peak memory and the error, if any, are left in
    ``stages/NAME.json`` of the work folder.
    """
    log_to_terminal()
    exit_when_terminated()
    environment = Environment()
    record = environment.work_folder / "stages" / f"{stage.__name__}.json"
    try:
        with measured() as resources:
            _execute(stage, load_parameters(Path("params.yaml")), environment)
    except BaseException as error:
        _leave_record(record, resources, error)
        fail(stage.__name__, error)
    _leave_record(record, resources, None)


def fail(name: str, error: BaseException) -> NoReturn:
    """End the process with 1: with the message of an error that explains itself, else with its traceback."""
    if isinstance(error, KeyboardInterrupt):
        logger.error("%s was interrupted", name)
        sys.exit(128 + signal.SIGINT)
    if not isinstance(error, Exception):
        logger.error("%s was terminated", name)
        raise error
    if not explains_itself(error):
        logger.error("%s", "".join(traceback.format_exception(error)))
    logger.error("%s failed: %s", name, str(error) or type(error).__name__)
    sys.exit(1)


def explains_itself(error: Exception) -> bool:
    """Whether the message was written for the user: raised by the project's own code or the file system."""
    if isinstance(error, OSError):
        return True
    frames = list(traceback.walk_tb(error.__traceback__))
    raised_in = frames[-1][0].f_globals.get("__name__", "") if frames else ""
    is_own = raised_in == "__main__" or raised_in.split(".")[0] in PACKAGES
    return is_own and isinstance(error, ValueError | ImportError)


def exit_when_terminated() -> None:
    """Turn the signals that end a process into an exit, so that files, runs and children stay in order."""

    def exit_with_signal(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, exit_with_signal)


def _execute(stage: Stage, parameters: Parameters, environment: Environment) -> None:
    def work() -> None:
        stage(parameters)

    if (api_url := environment.prefect_api_url) is None:
        logger.info(
            "%s: no Prefect server answers, so it will not show this run (`make up` starts one)",
            stage.__name__,
        )
        work()
    else:
        os.environ["PREFECT_API_URL"] = api_url
        section = getattr(parameters, stage.__name__).model_dump(mode="json")
        call_through(lambda call: _run_as_flow(stage.__name__, section, call, environment), work)


def _run_as_flow(
    name: str, section: dict[str, object], work: Callable[[], None], environment: Environment
) -> None:
    """Do ``work`` as a Prefect flow run, below the pipeline's task run if there is one.

    Raises only if Prefect fails; an exception of ``work`` ends in the run's state.
    """
    from prefect import Flow
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import Pending

    def stage(parameters: dict[str, object]) -> None:
        work()
        record_flow_run(environment.work_folder, api_url, run.id, outcome="completed")

    api_url = os.environ["PREFECT_API_URL"]
    flow = Flow(stage, name=name, persist_result=False, validate_parameters=False)
    if environment.parent_task_run_id is None:
        close_abandoned_runs(environment.work_folder, api_url)
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(
            flow,
            name=f"{name} {environment.pipeline_id}" if environment.pipeline_id else None,
            parameters={"parameters": section},
            parent_task_run_id=environment.parent_task_run_id,
            state=Pending(),
        )
    record_flow_run(environment.work_folder, api_url, run.id)
    with log_to_flow_run():
        run_flow(flow, flow_run=run, return_type="state")


def _leave_record(path: Path, resources: Resources, error: BaseException | None) -> None:
    state = "completed" if error is None else "failed"
    details = None if error is None else "".join(traceback.format_exception(error))
    figures = {"seconds": resources.seconds, "peak_memory_bytes": resources.peak_memory_bytes}
    write_json(path, {"state": state, **figures, "traceback": details})
