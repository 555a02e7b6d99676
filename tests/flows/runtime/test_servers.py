"""The project's servers: on free ports, once each, and gone after ``down``, whatever happened in between."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import psutil

from flows.runtime.processes import session_members
from tasks.context.process import ProcessIdentity
from tests.sample_project import PROJECT, Servers, plain_environment, wait_until


def control(action: str, work_folder: Path) -> str:
    variables = plain_environment() | {"LMCORE_WORK_FOLDER": str(work_folder)}
    command = [sys.executable, "-m", "flows.runtime.servers", action]
    return subprocess.run(command, env=variables, cwd=PROJECT, capture_output=True, text=True, check=True).stderr


def record(work_folder: Path, name: str) -> Path:
    return work_folder / "servers" / f"{name}.json"


def test_a_taken_port_is_left_to_its_program_and_both_pages_are_there(servers: Servers) -> None:
    for url, taken in zip((servers.mlflow, servers.prefect), servers.taken_ports, strict=True):
        assert not url.endswith(f":{taken}")
        with urlopen(url, timeout=30) as page:
            assert "<html" in page.read().decode().lower()


def test_servers_that_run_are_kept(servers: Servers) -> None:
    before = [record(servers.work_folder, name).read_text() for name in ("mlflow", "prefect")]
    said = control("up", servers.work_folder)
    assert [record(servers.work_folder, name).read_text() for name in ("mlflow", "prefect")] == before
    assert "Starting" not in said
    assert servers.mlflow in said
    assert servers.prefect in said
    assert control("status", servers.work_folder).count("ready on") == 2


def test_servers_of_a_start_that_was_killed_half_way_are_stopped_by_down(tmp_path: Path) -> None:
    variables = plain_environment() | {"LMCORE_WORK_FOLDER": str(tmp_path)}
    start = subprocess.Popen([sys.executable, "-m", "flows.runtime.servers", "up"], env=variables, cwd=PROJECT)
    files = [record(tmp_path, name) for name in ("mlflow", "prefect")]
    wait_until(lambda: all(file.exists() for file in files))
    start.kill()
    start.wait()
    started = [ProcessIdentity.from_json(json.loads(file.read_text())) for file in files]
    assert not any(process.is_gone() for process in started)

    assert "MLflow, Prefect" in control("down", tmp_path)
    assert [member for process in started for member in session_members(process)] == []
    assert not any(file.exists() for file in files)
    assert control("status", tmp_path).count("not running") == 2


def test_down_leaves_a_process_alone_that_has_the_id_of_an_earlier_server(tmp_path: Path) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    identity = ProcessIdentity.of(psutil.Process(bystander.pid)).as_json()
    record(tmp_path, "mlflow").parent.mkdir()
    stale = {"url": "http://127.0.0.1:1", "port": 1, **identity, "create_time": identity["create_time"] - 3600}
    record(tmp_path, "mlflow").write_text(json.dumps(stale))
    assert "nothing" in control("down", tmp_path)
    assert bystander.poll() is None
    assert not record(tmp_path, "mlflow").exists()
    os.kill(bystander.pid, signal.SIGKILL)
    bystander.communicate()
