"""A server is known by its record, and where that is lost, damaged or another's, by the log that it alone writes."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from flows.runtime.server_process import Daemon
from tasks.context.environment import Environment
from tasks.context.process import DAMAGED, ProcessIdentity
from tasks.context.server_record import ServerRecord, read_server_record

SERVE = "import http.server, sys; http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]))"
ALIVE: dict[str, Any] = {**ProcessIdentity.current().as_json(), "url": "http://127.0.0.1:5000", "port": 5000}
DAMAGE = [
    "",
    "{",
    '{"url": "ht',
    "[]",
    "{}",
    "null",
    "\0\0\0\0",
    "[" * 100_000,
    '{"url": "http://127.0.0.1:5000"}',
    *(
        json.dumps({**ALIVE, "folder": "", **changes})
        for changes in (
            {"pid": -1},
            {"pid": 10**30},
            {"pid": "x"},
            {"create_time": "x"},
            {"create_time": -1},
            {"port": 0},
            {"port": 5001},
            {"port": 10**9},
            {"url": "http://127.0.0.1:50x0"},
            {"url": "http://attacker.example:5000"},
            {"url": None},
            {"host": None},
        )
    ),
    json.dumps({**ALIVE, "folder": ""}).replace("create_time", "creat_time"),
]


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Daemon(
        name="server",
        title="Server",
        preferred_port=port,
        health_path="/",
        command=lambda port: [sys.executable, "-c", SERVE, str(port)],
        variables=lambda _: {},
        data_folder=tmp_path / "data",
        record=tmp_path / "servers" / "server.json",
        log=tmp_path / "servers" / "server.log",
    )


def launched(daemon: Daemon) -> ServerRecord:
    daemon.record.parent.mkdir(exist_ok=True)
    return daemon.wait_until_ready(daemon.launch())


@pytest.mark.parametrize("content", DAMAGE, ids=range(len(DAMAGE)))
def test_a_damaged_record_is_named_and_set_aside_by_all_who_read_it(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LMCORE_WORK_FOLDER", str(tmp_path))
    environment = Environment()
    for name in ("mlflow", "prefect"):
        record = environment.server_record(name)
        record.parent.mkdir(exist_ok=True)
        record.write_text(content)
    assert environment.prefect_api_url is None
    assert environment.mlflow_tracking_uri == environment.mlflow_store_uri
    assert sorted(file.name for file in (tmp_path / "servers").iterdir()) == [
        f"mlflow.json{DAMAGED}",
        f"prefect.json{DAMAGED}",
    ]
    assert [
        f"{name}.json is damaged" in message
        for name, message in zip(("prefect", "mlflow"), caplog.messages, strict=True)
    ] == [
        True,
        True,
    ]


def test_a_server_is_found_and_stopped_whatever_became_of_its_record(daemon: Daemon) -> None:
    for content in ("", json.dumps({**ALIVE, "host": "renamed", "folder": str(daemon.record.parent)}), None):
        running = launched(daemon)
        assert daemon.running() == running
        if content is None:
            daemon.record.unlink()
        else:
            daemon.record.write_text(content)
        assert daemon.stop()
        assert running.process.is_gone()
        assert not daemon.record.exists()
    assert not daemon.stop()


def test_a_damaged_record_costs_no_time_and_no_second_server(daemon: Daemon) -> None:
    first = launched(daemon)
    daemon.record.write_text('{"url": "ht')
    assert daemon.running() is None
    second = launched(daemon)
    assert first.process.is_gone()
    assert second.port == first.port
    daemon.stop()


def test_a_record_of_another_host_counts_as_no_server_unless_its_process_is_here(daemon: Daemon) -> None:
    daemon.record.parent.mkdir()
    ended = {**ALIVE, "pid": 2**22 - 1, "host": "old-name", "folder": str(daemon.record.parent)}
    daemon.record.write_text(json.dumps(ended))
    assert read_server_record(daemon.record) is None
    renamed = launched(daemon).model_copy(update={"host": "old-name"})
    daemon.record.write_text(renamed.model_dump_json())
    assert daemon.running() == renamed
    daemon.stop()
    assert renamed.process.is_gone(daemon.record.parent)


def test_the_record_of_a_copied_folder_is_not_believed_and_its_server_left_alone(
    daemon: Daemon, tmp_path: Path
) -> None:
    running = launched(daemon)
    copy = tmp_path / "copy"
    shutil.copytree(daemon.record.parent, copy)
    copied = Daemon(**{**vars(daemon), "record": copy / "server.json", "log": copy / "server.log"})
    assert copied.running() is None
    assert not copied.stop()
    assert not running.process.is_gone()
    daemon.stop()


def test_whoever_reads_the_log_is_left_alone(daemon: Daemon) -> None:
    launched(daemon)
    with daemon.log.open("rb") as log:
        reader = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdin=log)
    assert daemon.stop()
    assert reader.poll() is None
    reader.kill()
    reader.wait()


def test_a_process_of_another_host_is_gone_where_no_other_machine_uses_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = ProcessIdentity("another-machine", pid=2**22 - 1, create_time=1.0)
    assert not elsewhere.is_gone()
    assert elsewhere.is_gone(tmp_path)
    mount = SimpleNamespace(mountpoint=str(tmp_path), fstype="nfs4")
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [mount])
    assert not elsewhere.is_gone(tmp_path / "work")
