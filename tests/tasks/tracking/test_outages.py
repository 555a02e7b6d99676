import json
from pathlib import Path
from urllib.request import urlopen

from tiny_models import save_tiny_model
from trainings import curve, found_server, free_port, log_steps, only_row, rows, start, store_of, train, wait_for

from tasks import tracking
from tasks.environment import Environment


def test_a_store_that_is_silent_from_the_start_gets_everything_later(environment, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    silent = Environment(work_folder=environment.work_folder)
    folder = train(silent, steps=range(1, 11))
    tracking.log_evaluation(silent, model="language-model", folder=folder, metrics={"bits": 1.5}, artifacts=[])
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert sum("the training goes on" in line for line in warnings) == 1
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    tracking.catch_up(environment)
    row = only_row(environment)
    assert row.info.status == "FINISHED"
    assert len(curve(environment, row, "train/loss")) == 10
    assert row.data.metrics["test/bits"] == 1.5
    assert store_of(environment).get_model_version("language-model", "1").run_id == row.info.run_id


def test_a_server_shows_what_was_tracked_without_it_and_its_death_costs_nothing(environment, server, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    unserved = environment.model_copy(update={"configured_mlflow_tracking_uri": environment.mlflow_store_uri})
    train(unserved, model="classifier")
    assert tracking.experiment_page(unserved) is None
    wait_for(lambda: found_server(environment) == server.address)
    served = Environment(work_folder=environment.work_folder)
    earlier = only_row(environment)
    address = f"{server.address}/#/experiments/{earlier.info.experiment_id}/runs?workflowType=machine_learning"
    assert tracking.experiment_page(served) == address
    with urlopen(f"{server.address}/get-artifact?path=parameters.json&run_uuid={earlier.info.run_id}") as answer:
        assert json.load(answer)["seed"] == 0
    with start(served) as run:
        log_steps(run, range(1, 21))
        wait_for(lambda: len(curve(environment, rows(environment)[-1], "train/loss")) == 20)
        server.stop()
        log_steps(run, range(21, 41))
        save_tiny_model(Path("model"), "language-model")
        run.finish(Path("model"))
    row = rows(environment)[-1]
    assert row.info.status == "FINISHED"
    assert [step for step, _ in curve(environment, row, "train/loss")] == list(range(1, 41))
    assert store_of(environment).get_model_version("language-model", "1").run_id == row.info.run_id


def test_a_model_that_was_replaced_before_it_could_be_delivered_is_said_to_be_missing(environment, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = train(Environment(work_folder=environment.work_folder))
    save_tiny_model(folder, "language-model", seed=7)
    tracking.catch_up(environment)
    row = only_row(environment)
    assert row.info.status == "FINISHED"
    assert "no longer holds it" in row.data.tags["model.missing"]
    assert store_of(environment).search_registered_models() == []
