import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
from tiny_models import LABELS, save_tiny_model

from lmcore.files import write_json
from tasks import tracking
from tasks.environment import Environment
from tasks.process import ProcessIdentity
from tasks.tracking.row import flatten_metrics, flatten_parameters, metric_name
from tasks.tracking.store import QUIET_AND_IMPATIENT

# MLflow's own, with the SQLAlchemy and pandas that are installed beside it.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]

DATA_DIGEST_LENGTH = 36


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A tracking store of this MLflow with nothing in it; making one takes seconds, copying it none."""
    os.environ.update(QUIET_AND_IMPATIENT)
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path.read_bytes()


@pytest.fixture
def environment(tmp_path, monkeypatch, empty_store):
    """A project folder with data, and a tracking store of its own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("LMCORE_PIPELINE_ID", raising=False)
    project = tmp_path / "project"
    (project / "data" / "tokens").mkdir(parents=True)
    (project / "data" / "tokens" / "summary.json").write_text('{"dtype": "uint16"}')
    monkeypatch.chdir(project)
    environment = Environment(work_folder=tmp_path / "work")
    environment.mlflow_folder.mkdir(parents=True)
    (environment.mlflow_folder / "mlflow.db").write_bytes(empty_store)
    return environment


def start(environment, *, model="language-model", resumed_from_step=None, parameters=None):
    return tracking.model_run(
        environment,
        stage="pretrain",
        model=model,
        parameters=parameters or {"seed": 0, "training": {"learning_rate": 3e-4}},
        datasets=[Path("data/tokens")],
        work_folder=environment.work_folder / "checkpoints" / model,
        resumed_from_step=resumed_from_step,
    )


def train(environment, *, model="language-model", seed=0, steps=range(1, 6)):
    """A whole training in which nothing happens; answers its model folder."""
    folder = Path("models") / f"{model}-{seed}"
    with start(environment, model=model) as run:
        log_steps(run, steps)
        save_tiny_model(folder, model, seed=seed)
        run.finish(folder)
    return folder


def fail(environment, error, *, steps=range(0), **details):
    """A training that ends with an error."""
    with start(environment, **details) as run:
        log_steps(run, steps)
        raise error


def finish(environment, *, resumed_from_step, steps=range(0)):
    """An interrupted training that goes on to its end."""
    with start(environment, resumed_from_step=resumed_from_step) as run:
        log_steps(run, steps)
        save_tiny_model(Path("model"), "language-model")
        run.finish(Path("model"))


def log_steps(run, steps):
    for step in steps:
        run.log_metrics(step, {"loss": 1 / step, "learning_rate": 0.01})
        if step % 2 == 0:
            run.log_metrics(step, {"validation_loss": 2 / step})


def store_of(environment):
    from mlflow import MlflowClient

    return MlflowClient(environment.mlflow_store_uri)


def rows(environment):
    """All rows, oldest first."""
    client = store_of(environment)
    experiment = client.get_experiment_by_name("lmcore")
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"]) if experiment else []


def only_row(environment):
    (row,) = rows(environment)
    return row


def curve(environment, row, name):
    return [(point.step, point.value) for point in store_of(environment).get_metric_history(row.info.run_id, name)]


def artifacts(environment, row, folder=None):
    return {item.path for item in store_of(environment).list_artifacts(row.info.run_id, folder)}


def killed_child(environment, code):
    """Run Python code in a process that kills itself; it has ``start``, ``log_steps`` and ``environment``."""
    script = f"""
import os, signal, time
from pathlib import Path
from tasks.environment import Environment
from test_tracking import start, log_steps, rows
environment = Environment(work_folder=Path({str(environment.work_folder)!r}))
{code}
"""
    here = Path(__file__).parent
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parents[1])])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == -signal.SIGKILL, result.stderr


DIE_WHEN_STORED = """
with start(environment) as run:
    log_steps(run, range(1, 61))
    while not any(row.data.metrics for row in rows(environment)):
        time.sleep(0.1)
    log_steps(run, range(61, 71))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_finished_row_has_curves_parameters_data_model_and_lineage(environment):
    folder = train(environment, steps=range(1, 11))
    row = only_row(environment)
    assert row.info.status == "FINISHED"
    assert curve(environment, row, "train/loss") == [(step, 1 / step) for step in range(1, 11)]
    assert [step for step, _ in curve(environment, row, "validation/loss")] == [2, 4, 6, 8, 10]
    assert row.data.params == {"seed": "0", "training.learning_rate": "0.0003"}
    assert row.data.metrics["train/n_parameters"] == 12345
    (data,) = row.inputs.dataset_inputs
    assert data.dataset.name == "data/tokens"
    assert len(data.dataset.digest) == DATA_DIGEST_LENGTH
    assert {"pipeline.id", "machine.processor", "gpu.count", "process.pid"} <= row.data.tags.keys()
    assert row.info.run_name == f"language-model {row.data.tags['model.digest'][:8]}"
    assert "models:/language-model/1" in row.data.tags["mlflow.note.content"]
    assert not (folder / "tracking.json").exists()


def test_every_kind_of_model_answers_in_another_process_and_folder(environment, tmp_path):
    for model in ("language-model", "classifier", "completion"):
        train(environment, model=model)
    script = f"""
import mlflow, pandas
mlflow.set_tracking_uri({environment.mlflow_store_uri!r})
load = mlflow.pyfunc.load_model
question = pandas.DataFrame({{"prompt": ["the list is", ""]}})
models = [load("models:/language-model/1"), load("models:/completion/1")]
short = [list(model.predict(question, params={{"max_tokens": 3}})["completion"]) for model in models]
again = [list(model.predict(question, params={{"max_tokens": 3}})["completion"]) for model in models]
assert short == again and all(isinstance(text, str) for texts in short for text in texts), short
answer = load("models:/classifier/1").predict(pandas.DataFrame({{"text": ["sorted", "the list"]}}))
assert set(answer["label"]) <= set({LABELS!r}), answer
assert all(abs(sum(row.values()) - 1) < 1e-5 for row in answer["probabilities"]), answer
"""
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=without_project(), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


def without_project():
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.mark.parametrize(
    ("model", "request_body", "column"),
    [
        ("language-model", {"dataframe_split": {"columns": ["prompt"], "data": [["the list"]]}}, "completion"),
        ("classifier", {"dataframe_records": [{"text": "the list"}]}, "label"),
    ],
)
def test_a_model_answers_requests_as_its_server_gets_them(environment, model, request_body, column):
    import mlflow
    from fastapi.testclient import TestClient
    from mlflow.pyfunc.scoring_server import init

    train(environment, model=model)
    client = TestClient(init(mlflow.pyfunc.load_model(f"models:/{model}/1")))
    answer = client.post("/invocations", json=request_body)
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json()["predictions"][0][column], str)
    assert client.post("/invocations", json={"dataframe_records": [{"wrong": "x"}]}).status_code == 400


def test_a_failed_training_says_why_and_has_no_model(environment):
    with pytest.raises(FloatingPointError):
        fail(environment, FloatingPointError("the loss is not finite"), steps=range(1, 4))
    row = only_row(environment)
    assert row.info.status == "FAILED"
    assert row.data.tags["error"] == "FloatingPointError: the loss is not finite"
    assert len(curve(environment, row, "train/loss")) == 3
    assert store_of(environment).search_registered_models() == []


@pytest.mark.parametrize("signal_error", [KeyboardInterrupt(), SystemExit(143)])
def test_an_interrupted_training_is_killed_not_failed(environment, signal_error):
    with pytest.raises(type(signal_error)):
        fail(environment, signal_error)
    assert only_row(environment).info.status == "KILLED"


def test_a_training_that_forgets_its_model_is_an_error(environment):
    with pytest.raises(RuntimeError, match="finish"), start(environment):
        pass
    assert only_row(environment).info.status == "FAILED"


def test_a_killed_training_is_closed_by_the_next_one_and_continues_its_row_when_it_is_resumed(environment):
    killed_child(environment, DIE_WHEN_STORED)
    row = only_row(environment)
    assert row.info.status == "RUNNING"
    train(environment, model="classifier")
    killed, other = rows(environment)
    assert (killed.info.status, other.info.status) == ("KILLED", "FINISHED")
    assert killed.data.tags["error"].startswith("killed: process")
    assert killed.info.end_time <= other.info.start_time
    assert len(curve(environment, killed, "train/loss")) == 70  # also what it had no time to deliver

    # A checkpoint's history is reported once more, and so are the steps since the checkpoint.
    finish(environment, resumed_from_step=50, steps=[*range(1, 51), *range(51, 101)])
    resumed, _ = rows(environment)
    assert resumed.info.run_id == row.info.run_id
    assert resumed.info.status == "FINISHED"
    assert resumed.data.tags["resume.count"] == "1"
    assert "error" not in resumed.data.tags
    assert curve(environment, resumed, "train/loss") == [(step, 1 / step) for step in range(1, 101)]
    assert [step for step, _ in curve(environment, resumed, "validation/loss")] == list(range(2, 101, 2))


def test_a_training_that_starts_afresh_has_a_new_row(environment):
    with pytest.raises(KeyboardInterrupt):
        fail(environment, KeyboardInterrupt())
    train(environment)
    assert [row.info.status for row in rows(environment)] == ["KILLED", "FINISHED"]


def test_a_resumed_training_whose_row_was_deleted_gets_a_whole_new_one(environment):
    with pytest.raises(ValueError, match="x"):
        fail(environment, ValueError("x"), steps=range(1, 6))
    store_of(environment).delete_run(only_row(environment).info.run_id)
    finish(environment, resumed_from_step=3, steps=range(1, 11))
    row = only_row(environment)
    assert [step for step, _ in curve(environment, row, "train/loss")] == list(range(1, 11))
    assert "error" not in row.data.tags


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


class Server:
    """The project's own MLflow server over the store of ``environment``."""

    def __init__(self, environment, port):
        self.address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
        command += ["--backend-store-uri", environment.mlflow_store_uri]
        command += ["--artifacts-destination", environment.mlflow_artifacts_uri]
        self.process = subprocess.Popen(
            command,
            cwd=environment.work_folder,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        identity = ProcessIdentity(
            socket.gethostname(), self.process.pid, psutil.Process(self.process.pid).create_time()
        )
        write_json(environment.server_record("mlflow"), {"url": self.address, **identity.as_json()})

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def server(environment):
    server = Server(environment, free_port())
    try:
        wait_for(lambda: found_server(environment) == server.address)
        yield server
    finally:
        server.stop()


def found_server(environment):
    return Environment(work_folder=environment.work_folder).mlflow_tracking_uri


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(condition, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


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


def test_an_evaluation_goes_to_the_row_of_the_model_once(environment):
    train(environment, seed=1)
    folder = train(environment, seed=2)
    report = Path("report.html")
    report.write_text("<html>")
    metrics = {
        "bits_per_byte": {"value": 1.5, "low": 1.4, "high": 1.6},
        "name": "gpt",
        "likelihood": {"perplexity": 30},
    }
    for _ in range(2):
        tracking.log_evaluation(environment, model="language-model", folder=folder, metrics=metrics, artifacts=[report])
    other, row = rows(environment)
    assert not any(name.startswith("test") for name in other.data.metrics)
    tested = {name: value for name, value in row.data.metrics.items() if name.startswith("test")}
    assert tested == {
        "test/bits_per_byte": 1.5,
        "test_interval/bits_per_byte_low": 1.4,
        "test_interval/bits_per_byte_high": 1.6,
        "test/likelihood_perplexity": 30,
    }
    assert curve(environment, row, "test/bits_per_byte") == [(0, 1.5)]
    assert "1.5 (1.4 to 1.6)" in row.data.tags["mlflow.note.content"]
    assert artifacts(environment, row, "evaluation") == {"evaluation/report.html"}


def test_a_model_that_the_store_has_never_seen_gets_a_row_with_its_curves(environment):
    save_tiny_model(Path("model"), "classifier")
    tracking.log_evaluation(
        environment, model="classifier", folder=Path("model"), metrics={"accuracy": 0.5}, artifacts=[]
    )
    row = only_row(environment)
    assert row.info.status == "FINISHED"
    assert curve(environment, row, "train/loss") == [(2, 3.0), (4, 2.0)]
    assert row.data.params["model.width"] == "16"
    assert row.data.metrics["test/accuracy"] == 0.5
    assert store_of(environment).get_model_version("classifier", "1").run_id == row.info.run_id


def test_equal_models_are_registered_once_and_different_ones_twice(environment):
    for seed in (1, 1, 2):
        train(environment, seed=seed)
    versions = store_of(environment).search_model_versions("name = 'language-model'")
    assert {version.version for version in versions} == {1, 2}
    assert {version.tags["model.digest"] for version in versions} == {
        row.data.tags["model.digest"] for row in rows(environment)
    }


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


def test_what_is_more_than_mlflow_takes_at_once_is_sent_in_pieces(environment):
    parameters = {"many": {f"name_{index}": index for index in range(250)}, "long": "x" * 7000, "list": ["a", "b"]}
    with start(environment, parameters=parameters) as run:
        for step in range(1, 1201):
            run.log_metrics(step, {"loss": 1.0, "gradient_norm": 2.0})
        save_tiny_model(Path("model"), "language-model")
        run.finish(Path("model"))
    row = only_row(environment)
    assert len(row.data.params) == 252
    assert row.data.params["list"] == '["a", "b"]'
    assert row.data.params["long"].endswith("(7,000 characters, whole in parameters.json)")
    assert len(curve(environment, row, "train/loss")) == 1200


def test_logging_takes_next_to_no_time_of_the_training(environment):
    n_steps = 500
    with start(environment) as run:
        started = time.thread_time()
        for step in range(n_steps):
            run.log_metrics(step, dict.fromkeys("abcdef", 1.0))
        seconds = (time.thread_time() - started) / n_steps
        save_tiny_model(Path("model"), "language-model")
        run.finish(Path("model"))
    assert seconds < 0.001  # while a step takes a tenth of a second or more


def test_a_line_that_a_kill_cut_off_is_written_again(environment):
    with pytest.raises(KeyboardInterrupt):
        fail(environment, KeyboardInterrupt(), steps=range(1, 4))
    (points,) = environment.work_folder.glob("tracking/*/points.jsonl")
    with points.open("a") as file:
        file.write('{"time": 1, "st')
    finish(environment, resumed_from_step=2, steps=range(1, 6))
    assert [step for step, _ in curve(environment, only_row(environment), "train/loss")] == [1, 2, 3, 4, 5]


def test_journals_do_not_pile_up(environment):
    for model in ("language-model", "classifier", "completion"):
        train(environment, model=model)
        # As a training that has ended well does with its checkpoints.
        shutil.rmtree(environment.work_folder / "checkpoints" / model)
    assert len(list(environment.work_folder.glob("tracking/*"))) == 1


def test_rows_of_one_execution_have_one_pipeline_id(environment, monkeypatch):
    monkeypatch.setenv("LMCORE_PIPELINE_ID", "nightly 7")
    for model in ("language-model", "classifier"):
        train(Environment(work_folder=environment.work_folder), model=model)
    assert {row.data.tags["pipeline.id"] for row in rows(environment)} == {"nightly 7"}


@pytest.mark.parametrize(
    ("name", "shown"),
    [("loss", "train/loss"), ("validation_loss", "validation/loss"), ("test/accuracy", "test/accuracy")],
)
def test_figures_are_grouped_by_the_data_they_are_of(name, shown):
    assert metric_name(name) == shown


def test_names_that_mlflow_refuses_are_mended():
    assert flatten_parameters({"a(b)": {"c": True}, "none": None, "empty": {}}) == {
        "a_b_.c": "true",
        "none": "null",
        "empty": "{}",
    }
    assert flatten_metrics({"f1": {"macro": 0.5}, "is_good": True}) == {"test/f1_macro": 0.5}
