"""Fixtures for the tests of tracking: a project folder, a tracking store and a server over it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lmcore.runtime.files import write_json
from tasks.context.environment import Environment
from tasks.context.process import ProcessIdentity
from tasks.tracking import uploader
from tasks.tracking.store.client import MLFLOW_SETTINGS
from tests.tasks.tracking.trainings import found_server, free_port, wait_for

HERE = Path(__file__).parent
USES_MLFLOW = (HERE, HERE.parent / "whole")

# Warnings of MLflow and the libraries it uses.
EXPECTED_WARNINGS = (
    "ignore:.*Any type hint is inferred as AnyType",
    "ignore:The ``noload`` loader strategy is deprecated",
    "ignore:Operation with range is deprecated",
)


def pytest_collection_modifyitems(items):
    """Ignore MLflow's warnings in the tests that use it."""
    for item in items:
        if any(item.path.is_relative_to(path) for path in USES_MLFLOW):
            for warning in EXPECTED_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """The bytes of an empty tracking store; creating one takes seconds, copying it does not."""
    os.environ.update(MLFLOW_SETTINGS)
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path.read_bytes()


@pytest.fixture
def environment(tmp_path, monkeypatch, empty_store):
    """A project folder with data and its own tracking store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("LMCORE_PIPELINE_ID", raising=False)
    monkeypatch.setattr(uploader, "MAX_DELAY_SECONDS", 60.0)  # a busy machine is no outage
    project = tmp_path / "project"
    (project / "data" / "tokens").mkdir(parents=True)
    (project / "data" / "tokens" / "summary.json").write_text('{"dtype": "uint16"}')
    monkeypatch.chdir(project)
    environment = Environment(work_folder=tmp_path / "work")
    environment.mlflow_folder.mkdir(parents=True)
    (environment.mlflow_folder / "mlflow.db").write_bytes(empty_store)
    return environment


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
        identity = ProcessIdentity.of(psutil.Process(self.process.pid))
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
