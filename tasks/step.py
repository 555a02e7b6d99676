"""Functions of ``tasks/`` as steps: Prefect shows and retries them when they run in a Prefect flow."""

import functools
import logging
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State, TaskRun

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_ATTEMPTS = 2.0


def step(*, retries: int = 0) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function a Prefect task inside a Prefect flow run; anywhere else it stays the plain function.

    Args:
        retries: further attempts after a failure that another attempt may mend (:func:`is_transient`), in
            both cases.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            def bound() -> R:
                return function(*args, **kwargs)

            if is_inside_flow_run():
                return call_through(lambda call: _run_as_task(function.__name__, retries, call), bound)
            return _run_plainly(bound, retries)

        return run

    return decorate


def is_inside_flow_run() -> bool:
    """Whether this code runs in a Prefect flow run; costs no import of Prefect."""
    if "prefect" not in sys.modules:
        return False
    from prefect.context import FlowRunContext

    return FlowRunContext.get() is not None


def is_transient(error: object) -> bool:
    """Whether another attempt may succeed: trouble with a connection or a device, not a missing file."""
    lasting = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
    return isinstance(error, OSError) and not isinstance(error, lasting)


def call_through(engine: Callable[[Callable[[], R]], object], function: Callable[[], R]) -> R:
    """Call ``function`` through an engine that reports about it, and give what the function gave.

    The engine's own trouble never costs the work: if it breaks before the call, the function is called
    without it; if it breaks after (its server went away), the function's result or exception still counts.
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
            logger.warning("Prefect could not follow this run (%s); the work itself is not affected", reason)
    if results:
        return results[-1]
    if errors:
        raise errors[-1]
    return function()


def _run_plainly(function: Callable[[], R], retries: int) -> R:
    for _ in range(retries):
        try:
            return function()
        except OSError as error:
            if not is_transient(error):
                raise
            logger.warning("%s: %s; trying again", type(error).__name__, error)
            time.sleep(SECONDS_BETWEEN_ATTEMPTS)
    return function()


def _run_as_task(name: str, retries: int, function: Callable[[], R]) -> None:
    from prefect import Task
    from prefect.cache_policies import NO_CACHE

    def may_retry(_task: Any, _run: "TaskRun", state: "State[Any]") -> bool:
        return is_transient(state.result(raise_on_failure=False))

    Task(
        function,
        name=name,
        task_run_name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=retries,
        retry_delay_seconds=SECONDS_BETWEEN_ATTEMPTS,
        retry_condition_fn=may_retry,
    )()
