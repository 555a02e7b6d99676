"""Serves a flow as a Prefect deployment: starts due runs one at a time, and shuts down cleanly."""

import asyncio
import logging
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import psutil
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from flows.runtime.processes import GRACE_SECONDS
from lmcore.errors import UserError

logger = logging.getLogger(__name__)

NAME = "scheduled"
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECONDS_TO_END = GRACE_SECONDS + 10.0  # to write a checkpoint


class StoppableRunner(Runner):
    """Prefect's runner, which a signal stops together with its runs.

    The original waits for its runs without stopping them: forever, unless the signal came from a terminal.
    """

    ended_by = int(signal.SIGINT)

    async def serve(self) -> None:
        """Start due runs until a signal arrives; then pause the deployment and wait for the runs to stop."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._leave = partial(loop.call_soon_threadsafe, task.cancel)
        for number in ENDING:
            signal.signal(number, self.handle_sigterm)
        with suppress(asyncio.CancelledError):
            await self.start()

    def handle_sigterm(self, *arguments: Any, **_: Any) -> None:
        """Terminate the runs, each of which stops its stage, and stop serving."""
        self.ended_by = arguments[0]
        runs = psutil.Process().children()
        for run in runs:
            run.terminate()
        threading.Thread(target=_kill_later, args=(runs,), daemon=True).start()
        self._leave()


def serve(flow: Flow[..., Any], cron: str, timezone: str) -> int:
    """Serve a flow on a schedule until a signal arrives, and return the number of the signal.

    Raises:
        UserError: if another deployment runs the flow on a schedule as well.
    """
    _refuse_second_schedule(flow.name)
    runner = StoppableRunner(name=NAME)
    deployment_id = runner.add_flow(
        flow,
        name=NAME,
        schedule=Cron(cron, timezone=timezone),
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    assert isinstance(deployment_id, UUID)  # outside an event loop
    try:
        _drop_late_runs(deployment_id)
        asyncio.run(runner.serve())
    except BaseException:  # before the runner could do so itself
        _pause_deployment(deployment_id)
        raise
    return runner.ended_by


def _kill_later(runs: Sequence[psutil.Process]) -> None:
    """Kill runs that do not stop, because they wait for a lost server; their stages stop with them."""
    psutil.wait_procs(runs, timeout=SECONDS_TO_END)
    for run in runs:
        with suppress(psutil.NoSuchProcess):
            run.kill()


def _refuse_second_schedule(flow_name: str) -> None:
    """Two schedules would start the flow at the same time."""
    for deployment in _deployments(flow_name):
        active = [schedule.schedule for schedule in deployment.schedules if schedule.active]
        if deployment.name != NAME and active and not deployment.paused:
            name = f"{flow_name}/{deployment.name}"
            raise UserError(
                f"the deployment {name} runs the {flow_name} on a schedule as well, so both would start it; to use "
                f"this command instead: `prefect deployment schedule clear -y {name}`"
            )


def _deployments(flow_name: str) -> list[DeploymentResponse]:
    with get_client(sync_client=True) as client:
        return client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[flow_name])))


def _pause_deployment(deployment_id: UUID) -> None:
    with get_client(sync_client=True) as client:
        client.pause_deployment(deployment_id)


def _drop_late_runs(deployment_id: UUID) -> None:
    """Delete runs that were due while nothing served them; all of them would start now."""
    n_late = 0
    with get_client(sync_client=True) as client:
        while late := _late_runs(client, deployment_id):  # the server lists a page at a time
            n_late += len(late)
            for run in late:
                client.delete_flow_run(run.id)
    if n_late:
        logger.info("Dropped %d run(s) that were due while the schedule was not running", n_late)


def _late_runs(client: SyncPrefectClient, deployment_id: UUID) -> list[FlowRun]:
    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
        ),
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id])),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
    )
    return [run for run in runs if run.auto_scheduled and run.estimated_start_time_delta.total_seconds() > 0]
