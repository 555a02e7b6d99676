"""A step outside of Prefect is its plain function, and an engine's trouble never costs the work."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tasks.step
from tasks.step import call_through, step

PROJECT = Path(__file__).parents[2]


class EngineError(Exception):
    """What a reporting engine raises when its server is gone."""


def test_a_step_outside_of_a_flow_run_is_the_function_and_imports_no_prefect() -> None:
    program = """
import sys
from tasks.step import step

@step(retries=2)
def add(left: int, *, right: int) -> int:
    "Add."
    return left + right

assert add(1, right=2) == 3
assert (add.__name__, add.__doc__) == ("add", "Add.")
assert "prefect" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True)


@pytest.mark.parametrize(("error", "attempts"), [(ConnectionResetError, 3), (FileNotFoundError, 1), (ValueError, 1)])
def test_only_trouble_that_may_pass_is_tried_again(
    error: type[Exception], attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.step, "SECONDS_BETWEEN_ATTEMPTS", 0.0)
    calls = []

    @step(retries=2)
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
        assert call_through(engine, lambda: calls.append(1) or 7) == 7
    assert calls == [1]
    assert "EngineError: server gone" in caplog.text


def test_an_engine_that_breaks_before_the_call_is_done_without() -> None:
    def engine(call: Callable[[], int]) -> None:
        raise EngineError("no server")

    assert call_through(engine, lambda: 7) == 7


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
        call_through(engine, work)


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

    assert call_through(engine, work) == "done"
