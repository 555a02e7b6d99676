"""The decorators ``flow`` and ``task``: Prefect's own, except that both run as plain functions without a server.

A Prefect server displays runs, retries tasks and starts scheduled runs. What a function computes never depends on it:
an error of Prefect itself (a lost server, a locked database) is logged, and the function's own result or exception
counts.
"""

import copy
import functools
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar, overload

import prefect
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, TaskRunContext, refresh_global_settings_context
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, Pending
from pydantic import BaseModel

from tasks.context.environment import Environment
from tasks.context.flow_runs import close_abandoned_runs, record_flow_run
from tasks.context.logs import log_to_flow_run

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

logger = logging.getLogger(__name__)

RETRY_DELAY_SECONDS = 2.0


class Task(prefect.Task[P, R]):
    """A Prefect task that is a plain function, retried in the same way, outside a flow run.

    A function that returns a Prefect ``State`` sets the final state of its run; the call then returns the state's data.
    """

    @overload  # type: ignore[override]
    def __call__(self: "Task[P, State[T]]", *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the task."""

        def call() -> R:
            return self.fn(*args, **kwargs)

        if is_inside_flow_run():
            return _value(run_with_fallback(self._run_in_prefect, call))
        return _value(self._run_plainly(call))

    def named(self, name: str) -> "Task[P, R]":
        """The same task under another name."""
        task = copy.copy(self)
        task.name = task.task_run_name = name
        return task

    def _run_in_prefect(self, call: Callable[[], R]) -> None:
        observed: Any = copy.copy(self)
        observed.fn = lambda: _without_data(call())
        prefect.Task.__call__(observed)

    def _run_plainly(self, call: Callable[[], R]) -> R:
        for _ in range(self.retries):
            try:
                return call()
            except OSError as error:
                if not is_transient(error):
                    raise
                logger.warning("%s: %s; retrying", type(error).__name__, error)
                time.sleep(RETRY_DELAY_SECONDS)
        return call()


class Flow(prefect.Flow[P, R]):
    """A Prefect flow that is a plain function where no Prefect server answers.

    A function that returns a Prefect ``State`` sets the final state of its run; the call then returns the state's data.
    """

    shown_parameters: dict[str, Any] = {}  # noqa: RUF012

    @overload  # type: ignore[override]
    def __call__(self: "Flow[P, State[T]]", *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the flow, in a flow run of the Prefect server if one answers."""
        environment = Environment()

        def call() -> R:
            return self.fn(*args, **kwargs)

        def run_in_prefect(observed: Callable[[], R]) -> None:
            self._run_in_prefect(observed, environment)

        if environment.prefect_api_url is not None:
            report_to(environment.prefect_api_url)
            return _value(run_with_fallback(run_in_prefect, call))
        if environment.pipeline_id is None:  # otherwise the pipeline has said so
            logger.info("No Prefect server answers, so this run will not appear in its UI; `make up` starts a server")
        return _value(call())

    def showing(self, parameters: BaseModel) -> "Flow[P, R]":
        """The same flow, with the values that Prefect's page shows as the parameters of its runs."""
        flow = copy.copy(self)
        flow.shown_parameters = {"parameters": parameters.model_dump(mode="json")}
        return flow

    def _run_in_prefect(self, call: Callable[[], R], environment: Environment) -> None:
        if environment.parent_task_run_id is None:
            close_abandoned_runs(environment.work_folder)

        def observe(parameters: object = None) -> object:
            result = call()
            record_flow_run(environment.work_folder, run.id, outcome="completed")
            return _without_data(result)

        observed: Any = copy.copy(self)
        observed.fn = observe
        observed.flow_run_name = None  # the run that is created here has its name
        with get_client(sync_client=True) as client:
            run = client.create_flow_run(
                self,
                name=self.flow_run_name() if callable(self.flow_run_name) else self.flow_run_name,
                parameters=self.shown_parameters,
                parent_task_run_id=environment.parent_task_run_id,
                state=Pending(),
            )
        record_flow_run(environment.work_folder, run.id)
        with log_to_flow_run():
            run_flow(observed, flow_run=run, return_type="state")


@overload
def task(function: Callable[P, R]) -> Task[P, R]: ...
@overload
def task(*, name: str | None = None, retries: int = 0) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(function: Callable[P, R] | None = None, *, name: str | None = None, retries: int = 0) -> Any:
    """Make a function a Prefect task.

    Args:
        function: the task's function.
        name: the name of the task and of its runs; the function's name by default.
        retries: attempts after a failure that may be temporary (:func:`is_transient`), with and without Prefect.
    """
    if function is None:
        return functools.partial(task, name=name, retries=retries)
    return Task(
        function,
        name=name,
        task_run_name=name or function.__name__,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=retries,
        retry_delay_seconds=RETRY_DELAY_SECONDS,
        retry_condition_fn=_may_retry,
    )


@overload
def flow(function: Callable[P, R]) -> Flow[P, R]: ...
@overload
def flow(*, flow_run_name: Callable[[], str]) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
def flow(function: Callable[P, R] | None = None, *, flow_run_name: Callable[[], str] | None = None) -> Any:
    """Make a function a Prefect flow.

    Args:
        function: the flow's function.
        flow_run_name: gives a run its name; by default the flow's name and the execution that the run is part of.
    """
    if function is None:
        return functools.partial(flow, flow_run_name=flow_run_name)
    name = function.__name__
    return Flow(
        function,
        name=name,
        flow_run_name=flow_run_name or (lambda: f"{name} {execution_name(Environment())}"),
        persist_result=False,
        validate_parameters=False,
    )


def completed(data: T, *, is_cached: bool, note: str = "") -> State[T]:
    """The final state of a run: ``Completed``, ``Cached`` (nothing to do) or ``Restored`` (the note says what)."""
    if note:
        return Completed(data=data, name="Restored", message=note)
    if is_cached:
        return Completed(data=data, name="Cached", message="nothing it depends on has changed")
    return Completed(data=data)


def run_with_fallback(engine: Callable[[Callable[[], R]], object], function: Callable[[], R]) -> R:
    """Run a function through an engine that reports on it; return or raise what the function itself does.

    If the engine fails before it calls the function, the function is called without it. If it fails afterwards, because
    its server is lost, say, the result or exception of the function's last call counts. The function is never repeated.
    """
    results: list[R] = []
    errors: list[BaseException] = []

    def observed() -> R:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)
            raise
        return results[-1]

    try:
        engine(observed)
    except Exception as error:
        if error not in errors:
            reason = f"{type(error).__name__}: {error}"
            logger.warning("Prefect could not track this run (%s); its results are not affected", reason)
    if results:
        return results[-1]
    if errors:
        raise errors[-1]
    return function()


def is_inside_flow_run() -> bool:
    """Whether this code runs in a Prefect flow run."""
    return FlowRunContext.get() is not None


def is_transient(error: object) -> bool:
    """Whether another attempt may succeed: a connection or device failed, not a missing file."""
    permanent = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
    return isinstance(error, OSError) and not isinstance(error, permanent)


def report_to(api_url: str) -> None:
    """Make this process and its children use the Prefect API at an address."""
    os.environ["PREFECT_API_URL"] = api_url
    refresh_global_settings_context()  # it was read when Prefect was imported


def current_task_run() -> dict[str, str]:
    """Environment variables by which a child process finds the task run it is part of; empty outside a task run."""
    context = TaskRunContext.get()
    if context is None:
        return {}
    return {"LMCORE_PARENT_TASK_RUN_ID": str(context.task_run.id), "PREFECT_API_URL": str(PREFECT_API_URL.value())}


def execution_name(environment: Environment) -> str:
    """What this process is part of: a pipeline run, a DVC experiment, or else the time it runs at."""
    return environment.pipeline_id or environment.dvc_experiment or f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


def _value(result: Any) -> Any:
    return result.data if isinstance(result, State) else result


def _without_data(result: object) -> object:
    """What Prefect gets of a returned state; its data are for the caller."""
    if isinstance(result, State):
        return State(type=result.type, name=result.name, message=result.message)
    return result


def _may_retry(_task: object, _run: TaskRun, state: "State[Any]") -> bool:
    return is_transient(state.result(raise_on_failure=False))
