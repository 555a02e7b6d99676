import json
import socket
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest

from tasks import tracking
from tasks.context.environment import Environment
from tasks.tracking import uploader
from tests.tasks.tracking.tiny_models import save_tiny_model
from tests.tasks.tracking.trainings import (
    curve,
    found_server,
    free_port,
    log_steps,
    only_run,
    runs,
    start,
    store_of,
    train,
    wait_for,
)


def test_a_store_that_does_not_answer_gets_everything_later(environment, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    silent = Environment(work_folder=environment.work_folder)
    folder = train(silent, steps=range(1, 11))
    tracking.log_evaluation(silent, model="language-model", folder=folder, metrics={"bits": 1.5}, artifacts=[])
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert sum("the stage continues" in line for line in warnings) == len(warnings) == 1
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    tracking.catch_up(environment)
    run = only_run(environment)
    assert run.info.status == "FINISHED"
    assert len(curve(environment, run, "train/loss")) == 10
    assert run.data.metrics["test/bits"] == 1.5
    assert store_of(environment).get_model_version("language-model", "1").run_id == run.info.run_id


def test_a_server_shows_what_was_tracked_without_it_and_its_death_costs_nothing(environment, server, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    unserved = environment.model_copy(update={"configured_mlflow_tracking_uri": environment.mlflow_store_uri})
    train(unserved, model="classifier")
    assert tracking.experiment_page(unserved) is None
    wait_for(lambda: found_server(environment) == server.address)
    served = Environment(work_folder=environment.work_folder)
    earlier = only_run(environment)
    address = f"{server.address}/#/experiments/{earlier.info.experiment_id}/runs?workflowType=machine_learning"
    assert tracking.experiment_page(served) == address
    with urlopen(f"{server.address}/get-artifact?path=parameters.json&run_uuid={earlier.info.run_id}") as answer:
        assert json.load(answer)["seed"] == 0
    with start(served) as run:
        log_steps(run, range(1, 21))
        wait_for(lambda: len(curve(environment, runs(environment)[-1], "train/loss")) == 20)
        server.stop()
        log_steps(run, range(21, 41))
        save_tiny_model(Path("model"), "language-model")
        run.finish(Path("model"))
    run = runs(environment)[-1]
    assert run.info.status == "FINISHED"
    assert [step for step, _ in curve(environment, run, "train/loss")] == list(range(1, 41))
    assert store_of(environment).get_model_version("language-model", "1").run_id == run.info.run_id


def test_a_model_that_was_replaced_before_mlflow_had_it_is_tagged_as_missing(environment, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = train(Environment(work_folder=environment.work_folder))
    save_tiny_model(folder, "language-model", seed=7)
    tracking.catch_up(environment)
    run = only_run(environment)
    assert run.info.status == "FINISHED"
    assert "no folder holds it any longer" in run.data.tags["model.missing"]
    assert store_of(environment).search_registered_models() == []


@contextmanager
def silent_server(_environment):
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def failing_server(_environment):
    """Answers every request with an error of its own."""

    class Failing(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(500)

        def do_POST(self):
            self.send_error(500)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def locked_file(environment):
    """Another process keeps the database to itself."""
    with closing(sqlite3.connect(environment.mlflow_folder / "mlflow.db", timeout=10)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield None
        database.rollback()


@contextmanager
def missing_folder(environment):
    """The variable names a file in a folder that does not exist."""
    yield f"sqlite:///{environment.work_folder}/mistyped/mlflow.db"
    assert not (environment.work_folder / "mistyped").exists()


@pytest.mark.parametrize("outage", [silent_server, failing_server, locked_file, missing_folder])
def test_an_outage_costs_a_training_seconds_and_one_warning_and_nothing_is_lost(
    outage, environment, monkeypatch, caplog
):
    monkeypatch.setattr(uploader, "MAX_DELAY_SECONDS", 0.5)
    monkeypatch.setattr(uploader, "START_SECONDS", 0.5)
    monkeypatch.setattr(uploader, "RETRY_SECONDS", 0.5)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with outage(environment) as uri:
        if uri:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        away = Environment(work_folder=environment.work_folder)
        started = time.monotonic()
        with start(away) as run:
            starting = time.monotonic() - started
            log_steps(run, range(1, 11))
            save_tiny_model(Path("model"), "language-model")
            started = time.monotonic()
            run.finish(Path("model"))
        ending = time.monotonic() - started
        tracking.log_evaluation(away, model="language-model", folder=Path("model"), metrics={"bits": 1}, artifacts=[])
    assert starting < 3  # of it half a second is the patience of this test
    assert ending < 3
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1, warnings
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def is_synced():
        tracking.catch_up(environment)
        return not list(environment.work_folder.glob("tracking/*"))

    wait_for(is_synced)
    run = only_run(environment)
    assert run.info.status == "FINISHED"
    assert [step for step, _ in curve(environment, run, "train/loss")] == list(range(1, 11))
    assert curve(environment, run, "test/bits") == [(0, 1)]
    assert len(run.outputs.model_outputs) == 1


def test_a_server_that_hangs_delays_only_the_first_of_several_evaluations(environment, monkeypatch):
    monkeypatch.setattr(uploader, "_delayed", [])  # the thread that is left behind is of no other test's concern
    monkeypatch.setattr(uploader, "MAX_DELAY_SECONDS", 1.0)
    monkeypatch.setattr(uploader, "START_SECONDS", 1.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    save_tiny_model(Path("model"), "language-model")
    with silent_server(environment) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        away = Environment(work_folder=environment.work_folder)
        seconds = []
        for model in ("language-model", "classifier", "completion"):
            started = time.monotonic()
            tracking.log_evaluation(away, model=model, folder=Path("model"), metrics={"bits": 1}, artifacts=[])
            seconds.append(time.monotonic() - started)
    assert seconds[0] > 0.9
    assert max(seconds[1:]) < 0.9
    assert len(list(environment.work_folder.glob("tracking/evaluation-*"))) == 3
