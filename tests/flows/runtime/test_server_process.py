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

from flows.runtime.server_process import ServerProcess
from tasks.context.process import ProcessIdentity
from tasks.context.server_record import ServerRecord, read_server_record

SERVE = "import http.server, sys; http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]))"
ALIVE: dict[str, Any] = {**ProcessIdentity.current().as_json(), "url": "http://127.0.0.1:5000", "port": 5000}


@pytest.fixture
def server(tmp_path: Path) -> ServerProcess:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return ServerProcess(
        name="server",
        label="Server",
        preferred_port=port,
        health_path="/",
        command=lambda port: [sys.executable, "-c", SERVE, str(port)],
        environment=lambda _: {},
        data_folder=tmp_path / "data",
        record=tmp_path / "servers" / "server.json",
        log=tmp_path / "servers" / "server.log",
    )


def launched(server: ServerProcess) -> ServerRecord:
    server.record.parent.mkdir(exist_ok=True)
    return server.wait_until_ready(server.launch())


def test_a_server_is_found_and_stopped_whatever_became_of_its_record(server: ServerProcess) -> None:
    for content in ("", json.dumps({**ALIVE, "host": "renamed", "folder": str(server.record.parent)}), None):
        running = launched(server)
        assert server.running() == running
        if content is None:
            server.record.unlink()
        else:
            server.record.write_text(content)
        assert server.stop()
        assert running.process.is_gone()
        assert not server.record.exists()
    assert not server.stop()


def test_a_damaged_record_costs_no_time_and_no_second_server(server: ServerProcess) -> None:
    first = launched(server)
    server.record.write_text('{"url": "ht')
    assert server.running() is None
    second = launched(server)
    assert first.process.is_gone()
    assert second.port == first.port
    server.stop()


def test_a_record_of_another_host_counts_as_no_server_unless_its_process_is_here(server: ServerProcess) -> None:
    server.record.parent.mkdir()
    ended = {**ALIVE, "pid": 2**22 - 1, "host": "old-name", "folder": str(server.record.parent)}
    server.record.write_text(json.dumps(ended))
    assert read_server_record(server.record) is None
    renamed = launched(server).model_copy(update={"host": "old-name"})
    server.record.write_text(renamed.model_dump_json())
    assert server.running() == renamed
    server.stop()
    assert renamed.process.is_gone(server.record.parent)


def test_the_record_of_a_copied_folder_is_not_believed_and_its_server_left_alone(
    server: ServerProcess, tmp_path: Path
) -> None:
    running = launched(server)
    copy = tmp_path / "copy"
    shutil.copytree(server.record.parent, copy)
    copied = ServerProcess(**{**vars(server), "record": copy / "server.json", "log": copy / "server.log"})
    assert copied.running() is None
    assert not copied.stop()
    assert not running.process.is_gone()
    server.stop()


def test_whoever_reads_the_log_is_left_alone(server: ServerProcess) -> None:
    launched(server)
    with server.log.open("rb") as log:
        reader = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdin=log)
    assert server.stop()
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
