"""Work as a run that the Prefect page shows: a flow run, or a task run of the flow that is being executed.

Prefect is imported here only when it is used, after ``PREFECT_API_URL`` has been set: it reads its address once.
"""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from flows.runtime.flow_runs import close_abandoned_runs, record_flow_run
from flows.runtime.logs import log_to_flow_run
from tasks.context.environment import Environment
from tasks.step import is_inside_flow_run

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

R = TypeVar("R")


def run_as_flow(
    work: Callable[[], R],
    *,
    name: str,
    run_name: str | None,
    parameters: Mapping[str, Any],
    is_cached: Callable[[R], bool],
    note: Callable[[R], str] = lambda _: "",
    api_url: str,
    environment: Environment,
) -> None:
    """Do ``work`` as a flow run, below the pipeline's task run if this process is a stage of it.

    Args:
        work: what to do; its exception ends in the run's state, only an error of Prefect's is raised.
        name: of the flow.
        run_name: of this run; Prefect thinks of one if it is None.
        parameters: what the page shows as the run's parameters.
        is_cached: whether the result means that nothing had to be done; the run then ends in the state Cached.
        note: what a person has to know about the result; the message of the run's final state, Restored.
        api_url: the Prefect API.
        environment: where runs are recorded and what this one belongs to.
    """
    os.environ["PREFECT_API_URL"] = api_url
    from prefect import Flow
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import Pending

    def body(parameters: dict[str, Any]) -> "State[None]":
        result = work()
        record_flow_run(environment.work_folder, run.id, outcome="completed")
        return completed(is_cached(result), note(result))

    if environment.parent_task_run_id is None:
        close_abandoned_runs(environment.work_folder)
    flow = Flow(body, name=name, persist_result=False, validate_parameters=False)
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(
            flow,
            name=run_name,
            parameters={"parameters": dict(parameters)},
            parent_task_run_id=environment.parent_task_run_id,
            state=Pending(),
        )
    record_flow_run(environment.work_folder, run.id)
    with log_to_flow_run():
        run_flow(flow, flow_run=run, return_type="state")


def run_as_task(
    work: Callable[[], R], *, name: str, is_cached: Callable[[R], bool], note: Callable[[R], str] = lambda _: ""
) -> None:
    """Do ``work`` as a task run of the current flow run; where ``is_cached`` says so, it ends in the state Cached."""
    from prefect import Task
    from prefect.cache_policies import NO_CACHE

    def body() -> "State[None]":
        result = work()
        return completed(is_cached(result), note(result))

    Task(body, name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False)()


def completed(is_cached: bool, note: str = "") -> "State[None]":
    """The final state of a run that did its work, found nothing to do, or took results of an earlier run."""
    from prefect.states import Completed

    if note:
        return Completed(name="Restored", message=note)
    return Completed(name="Cached", message="nothing it depends on has changed") if is_cached else Completed()


def current_task_run() -> dict[str, str]:
    """Environment variables by which a stage's process finds the task run it belongs to; none outside of one."""
    if not is_inside_flow_run():
        return {}
    from prefect.context import TaskRunContext
    from prefect.settings import PREFECT_API_URL

    context = TaskRunContext.get()
    if context is None:
        return {}
    return {"LMCORE_PARENT_TASK_RUN_ID": str(context.task_run.id), "PREFECT_API_URL": str(PREFECT_API_URL.value())}
