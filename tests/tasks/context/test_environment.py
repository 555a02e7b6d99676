"""Where things run: the work folder is always the project's own, and servers count only while they answer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tasks.context.environment import Environment, answers, project_folder
from tasks.context.process import ProcessIdentity

PROJECT = Path(__file__).parents[3]


@pytest.mark.parametrize("copy", ["tmpq1w2", "standalone/tmpq1w2"])
def test_an_experiment_in_a_folder_of_dvcs_uses_the_work_folder_of_the_project(
    copy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / ".dvc" / "tmp" / "exps" / copy
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert project_folder() == tmp_path


def test_a_relative_work_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMCORE_WORK_FOLDER", "elsewhere")
    assert Environment().mlflow_tracking_uri == f"sqlite:///{tmp_path}/elsewhere/mlflow/mlflow.db"


def test_the_record_of_a_server_that_has_ended_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMCORE_WORK_FOLDER", str(tmp_path))
    environment = Environment()
    ended = {**ProcessIdentity.current().as_json(), "create_time": psutil.Process().create_time() - 3600}
    for name in ("mlflow", "prefect"):
        environment.server_record(name).parent.mkdir(exist_ok=True)
        environment.server_record(name).write_text(json.dumps({"url": "http://127.0.0.1:1", "port": 1, **ended}))
    assert environment.mlflow_tracking_uri == environment.mlflow_store_uri
    assert environment.prefect_api_url is None


def test_a_configured_address_is_used_and_a_silent_prefect_api_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert Environment().mlflow_tracking_uri == "http://tracking.example"
    assert Environment().prefect_api_url is None


def test_a_web_address_without_a_server_and_a_file_address_do_not_answer() -> None:
    assert not answers("http://127.0.0.1:1/health")
    assert not answers("file:///etc/hostname")


def test_importing_flows_keeps_libraries_in_the_work_folder_and_respects_what_the_user_set(tmp_path: Path) -> None:
    program = "import flows, json, os; print(json.dumps(dict(os.environ)))"
    (tmp_path / "dvc").mkdir()
    (tmp_path / "dvc").chmod(0o777)  # as DVC makes it
    kept = {"HOME", "PATH", "PYTHONPATH", "LANG"}
    variables = {name: value for name, value in os.environ.items() if name in kept}
    variables |= {"LMCORE_WORK_FOLDER": str(tmp_path), "HF_HOME": "/mine", "NO_PROXY": "intra.example"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=variables, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert (tmp_path / "dvc").stat().st_mode & 0o777 == 0o700
    assert found["PREFECT_HOME"] == str(tmp_path / "prefect")
    assert found["MPLCONFIGDIR"] == str(tmp_path / "matplotlib")
    assert found["HF_HOME"] == "/mine"
    assert found["NO_PROXY"] == "intra.example,127.0.0.1,localhost"
    assert found["MLFLOW_DISABLE_TELEMETRY"] == found["DVC_NO_ANALYTICS"] == found["DO_NOT_TRACK"] == "true"
    assert "PREFECT_API_URL" not in found
