"""A flow is served by one schedule, without the runs that nobody served, and whatever it started ends with it."""

import signal
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Self
from uuid import UUID

import psutil
import pytest

from flows.runtime import serving
from lmcore.errors import UserError

SERVED = UUID(int=1)
FLOW: Any = SimpleNamespace(name="pipeline")


class Client:
    """A Prefect server with deployments of the flow and with runs, of which it lists two at a time."""

    def __init__(self) -> None:
        self.deployments: list[SimpleNamespace] = []
        self.runs: list[SimpleNamespace] = []
        self.paused: list[UUID] = []

    def __call__(self, *, sync_client: bool) -> Self:
        assert sync_client
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def read_deployments(self, *, flow_filter: Any) -> list[SimpleNamespace]:
        assert flow_filter.name.any_ == ["pipeline"]
        return self.deployments

    def read_flow_runs(self, *, deployment_filter: Any, **_: object) -> list[SimpleNamespace]:
        assert deployment_filter.id.any_ == [SERVED]
        return self.runs[:2]

    def delete_flow_run(self, run_id: int) -> None:
        self.runs = [run for run in self.runs if run.id != run_id]

    def pause_deployment(self, deployment_id: UUID) -> None:
        self.paused.append(deployment_id)

    def deploy(self, name: str, *, is_active: bool = True, paused: bool = False) -> None:
        schedules = [SimpleNamespace(schedule="0 3 * * *", active=is_active)]
        self.deployments.append(SimpleNamespace(name=name, schedules=schedules, paused=paused))


class Runner:
    """A runner that a SIGTERM ends at once."""

    ended_by = int(signal.SIGINT)
    error: Exception | None = None

    def __init__(self, name: str) -> None:
        assert name == serving.NAME

    def add_flow(self, flow: Any, *, schedule: Any, concurrency_limit: Any, **_: object) -> UUID:
        assert (flow, schedule.cron, schedule.timezone) == (FLOW, "0 5 * * *", "Europe/Berlin")
        assert concurrency_limit.limit == 1
        return SERVED

    async def serve(self) -> None:
        if self.error:
            raise self.error
        self.ended_by = int(signal.SIGTERM)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client()
    monkeypatch.setattr(serving, "get_client", client)
    monkeypatch.setattr(serving, "StoppableRunner", Runner)
    return client


def serve() -> int:
    return serving.serve(FLOW, "0 5 * * *", "Europe/Berlin")


def late(number: int, minutes: int = 5, *, auto_scheduled: bool = True) -> SimpleNamespace:
    delay = timedelta(minutes=minutes)
    return SimpleNamespace(id=number, auto_scheduled=auto_scheduled, estimated_start_time_delta=delay)


def test_serving_ends_with_the_number_of_the_signal_and_pauses_nothing_itself(client: Client) -> None:
    client.deploy(serving.NAME)
    assert serve() == signal.SIGTERM
    assert client.paused == []


def test_a_second_deployment_with_a_schedule_is_refused_with_the_command_that_clears_it(client: Client) -> None:
    client.deploy("manual", is_active=False)
    client.deploy("on-holiday", paused=True)
    assert serve() == signal.SIGTERM
    client.deploy("nightly")
    with pytest.raises(
        UserError, match=r"pipeline/nightly runs the pipeline on a schedule .* clear -y pipeline/nightly`"
    ):
        serve()


def test_runs_that_were_due_while_nothing_served_them_are_deleted_page_by_page(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.runs = [late(1), late(2), late(3), late(4, minutes=-5), late(5, auto_scheduled=False)]
    with caplog.at_level("INFO"):
        serve()
    assert [run.id for run in client.runs] == [4, 5], "runs of the future and runs that a person asked for stay"
    assert "Dropped 3 run(s)" in caplog.text


def test_a_deployment_is_paused_when_its_runner_breaks(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runner, "error", ConnectionError("the server is gone"))
    with pytest.raises(ConnectionError):
        serve()
    assert client.paused == [SERVED]


@pytest.mark.parametrize(("handling", "number"), [("SIG_DFL", signal.SIGTERM), ("SIG_IGN", signal.SIGKILL)])
def test_a_signal_ends_the_runs_by_force_if_necessary(
    handling: str, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = f"import signal, time; signal.signal(15, signal.{handling}); print('on', flush=True); time.sleep(60)"
    # The shell waits for the run and prints how it ended: two waiters in one process would compete for that.
    command = ["sh", "-c", '"$@"; echo $?', "sh", sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        children = psutil.Process(shell.pid).children()
        own = SimpleNamespace(children=lambda: children)  # the process of these tests has other children
        monkeypatch.setattr(serving, "psutil", SimpleNamespace(**vars(psutil) | {"Process": lambda: own}))
        monkeypatch.setattr(serving, "SECONDS_TO_END", 0.2)
        runner = serving.StoppableRunner.__new__(serving.StoppableRunner)
        left = []
        runner._leave = lambda: left.append(True)
        runner.handle_sigterm(signal.SIGHUP, None)
        assert int(shell.stdout.readline()) == 128 + number
    assert (runner.ended_by, left) == (signal.SIGHUP, [True])
