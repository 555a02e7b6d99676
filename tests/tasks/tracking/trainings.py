"""Trainings without a model to train, and what MLflow then has."""

import socket
import time
from pathlib import Path
from urllib.parse import unquote

import pytest

from tasks import tracking
from tasks.context.environment import Environment
from tests.tasks.tracking.tiny_models import save_tiny_model


def work_folder_of(environment, model):
    folder = environment.work_folder / "checkpoints" / f"{model}-0"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def start(environment, *, model="language-model", resumed_from_step=0, parameters=None, base_model=None):
    return tracking.model_run(
        environment,
        stage="pretrain",
        model=model,
        family="gpt",
        parameters=parameters or {"seed": 0, "training": {"learning_rate": 3e-4}},
        datasets=[Path("data/tokens")],
        work_folder=work_folder_of(environment, model),
        resumed_from_step=resumed_from_step,
        base_model=base_model,
    )


def train(environment, *, model="language-model", seed=0, steps=range(1, 6), base_model=None):
    """A complete training that does nothing; return its model folder."""
    folder = Path("models") / f"{model}-{seed}"
    with start(environment, model=model, base_model=base_model) as run:
        log_steps(run, steps)
        save_tiny_model(folder, model, seed=seed)
        run.finish(folder)
    return folder


def fail(environment, error, *, steps=range(0), **details):
    """A training that ends with an error."""
    with start(environment, **details) as run:
        log_steps(run, steps)
        raise error


def interrupt(environment, *, steps=range(0), **details):
    """A training stopped by Ctrl-C, whose run takes less time because it has no model."""
    with pytest.raises(KeyboardInterrupt):
        fail(environment, KeyboardInterrupt(), steps=steps, **details)


def finish(environment, *, resumed_from_step, steps=range(0)):
    """An interrupted training that is resumed and finishes."""
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


def runs(environment):
    """All runs, oldest first."""
    client = store_of(environment)
    experiment = client.get_experiment_by_name("lmcore")
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"]) if experiment else []


def only_run(environment):
    (run,) = runs(environment)
    return run


def curve(environment, run, name):
    return [(point.step, point.value) for point in store_of(environment).get_metric_history(run.info.run_id, name)]


def artifacts(environment, run, folder=None):
    return {item.path for item in store_of(environment).list_artifacts(run.info.run_id, folder)}


def content(environment, run, name):
    """The text of an artifact."""
    return Path(unquote(run.info.artifact_uri.removeprefix("file://")), name).read_text()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(condition, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.1)


def found_server(environment):
    return Environment(work_folder=environment.work_folder).mlflow_tracking_uri
