"""Flows and tasks are Prefect's own, plain functions without a server, and a failure of Prefect loses no result."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import prefect
import pytest

import tasks.context.prefect
from tasks.context.prefect import Flow, completed, flow, run_with_fallback, task

PROJECT = Path(__file__).parents[3]


class EngineError(Exception):
    """What an engine that reports on a run raises when its server is lost."""


def test_a_task_outside_of_a_flow_run_is_its_function_and_asks_no_server() -> None:
    program = """
import socket, prefect
from tasks.context.prefect import task

@task(retries=2)
def add(left: int, *, right: int) -> int:
    "Add."
    return left + right

def refuse(*arguments):
    raise AssertionError("a connection was opened")

socket.socket.connect = refuse
assert add(1, right=2) == 3
assert (add.__name__, add.__doc__) == ("add", "Add.")
assert isinstance(add, prefect.Task)
"""
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True)


def test_without_a_server_a_flow_is_its_function_and_says_how_to_get_one(caplog: pytest.LogCaptureFixture) -> None:
    @flow
    def double(numbers: list[int]) -> list[int]:
        return [2 * number for number in numbers]

    with caplog.at_level(logging.INFO):
        assert double([1, 2]) == [2, 4]
    assert isinstance(double, Flow)
    assert caplog.text.count("so this run will not appear in its UI; `make up` starts a server") == 1


def test_a_state_that_a_function_returns_is_unwrapped() -> None:
    @task
    def find() -> prefect.State[list[str]]:
        return completed(["a"], is_cached=True)

    assert find() == ["a"]


@pytest.mark.parametrize(("error", "attempts"), [(ConnectionResetError, 3), (FileNotFoundError, 1), (ValueError, 1)])
def test_only_errors_that_may_be_temporary_are_retried(
    error: type[Exception], attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.context.prefect, "RETRY_DELAY_SECONDS", 0.0)
    calls = []

    @task(retries=2)
    def fail() -> None:
        calls.append(1)
        raise error("no")

    with pytest.raises(error):
        fail()
    assert len(calls) == attempts


def test_what_an_engine_that_breaks_afterwards_called_still_counts(caplog: pytest.LogCaptureFixture) -> None:
    def engine(call: Callable[[], int]) -> None:
        call()
        raise EngineError("server gone")

    calls = []
    with caplog.at_level(logging.WARNING):
        assert run_with_fallback(engine, lambda: calls.append(1) or 7) == 7
    assert calls == [1]
    assert "EngineError: server gone" in caplog.text


def test_an_engine_that_breaks_before_the_call_is_done_without() -> None:
    def engine(call: Callable[[], int]) -> None:
        raise EngineError("no server")

    assert run_with_fallback(engine, lambda: 7) == 7


@pytest.mark.parametrize("swallows", [True, False])
def test_the_error_of_the_work_is_raised_whatever_the_engine_makes_of_it(swallows: bool) -> None:
    def engine(call: Callable[[], None]) -> None:
        try:
            call()
        except ValueError as error:
            if not swallows:
                raise EngineError("while reporting") from error

    def work() -> None:
        raise ValueError("the data is empty")

    with pytest.raises(ValueError, match="the data is empty"):
        run_with_fallback(engine, work)


def test_an_engine_that_tries_again_gives_the_last_result() -> None:
    outcomes = iter([OSError("busy"), None])

    def work() -> str:
        if (error := next(outcomes)) is not None:
            raise error
        return "done"

    def engine(call: Callable[[], str]) -> None:
        for _ in range(2):
            try:
                call()
            except OSError:
                continue

    assert run_with_fallback(engine, work) == "done"


class BrokenApi(BaseHTTPRequestHandler):
    """A Prefect server that says it is healthy and fails every other request, as with a locked database."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 500)
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the tests' output clean."""


def test_a_server_that_fails_every_request_costs_one_warning_and_the_work_is_done_once() -> None:
    program = """
import flows
from tasks.context.logs import log_to_terminal
from tasks.context.prefect import flow, task

calls = []

@task
def add(number: int) -> int:
    return number + 1

@flow
def count() -> int:
    calls.append(1)
    return add(1)

log_to_terminal()
print(count(), len(calls))
"""
    with ThreadingHTTPServer(("127.0.0.1", 0), BrokenApi) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/api"
        variables = {**os.environ, "PREFECT_API_URL": address, "PREFECT_CLIENT_MAX_RETRIES": "0"}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=PROJECT, env=variables, capture_output=True, text=True, check=False)
        server.shutdown()
    assert done.stdout == "2 1\n", done.stderr
    assert done.stderr.count("Prefect could not track this run") == 1
    assert "Traceback" not in done.stderr
