"""A run of a deployment is recorded, logged and stopped with its parent; a run that a person started is not."""

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psutil
import pytest

from flows.runtime import scheduled_run
from tasks.context.environment import Environment
from tasks.context.process import ProcessIdentity

RUN = UUID(int=7)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What is done around a run, in order."""
    found: list[Any] = []

    @contextmanager
    def log_to_flow_run() -> Iterator[None]:
        found.append("log")
        yield
        found.append("no log")

    monkeypatch.setattr(scheduled_run, "log_to_flow_run", log_to_flow_run)
    monkeypatch.setattr(scheduled_run, "stop_when_abandoned", lambda parent, **by: found.append((parent, by)))
    monkeypatch.setattr(scheduled_run, "close_abandoned_runs", lambda folder: found.append(("close", folder)))
    monkeypatch.setattr(scheduled_run, "record_flow_run", lambda folder, run: found.append(("record", folder, run)))
    monkeypatch.setattr(scheduled_run, "flow_run", SimpleNamespace(id=RUN))
    handler = signal.getsignal(signal.SIGINT)
    yield found
    signal.signal(signal.SIGINT, handler)


def test_a_run_that_a_person_started_is_left_as_it_is(
    events: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduled_run, "deployment", SimpleNamespace(id=None))
    with scheduled_run.scheduled_run(Environment(work_folder=tmp_path)):
        events.append("run")
    assert events == ["run"]


@pytest.mark.parametrize("is_child", [True, False])
def test_a_run_of_a_deployment_is_stopped_with_its_parent_and_logs_until_it_ends(
    events: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_child: bool
) -> None:
    monkeypatch.setattr(scheduled_run, "deployment", SimpleNamespace(id="nightly"))
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object() if is_child else None)
    with scheduled_run.scheduled_run(Environment(work_folder=tmp_path)):
        events.append("run")
        ignores_interrupts = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    parent = psutil.Process().parent()
    assert parent is not None
    assert events == [
        (ProcessIdentity.of(parent), {"is_started_by_dvc": False}),
        ("close", tmp_path),
        ("record", tmp_path, RUN),
        "log",
        "run",
        "no log",
    ]
    assert ignores_interrupts is is_child, "the schedule passes Ctrl-C on; it must not arrive twice"
