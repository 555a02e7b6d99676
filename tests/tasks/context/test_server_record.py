"""The record of a server counts only while it is whole, of this folder, and its process runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from lmcore.runtime.damaged_files import DAMAGED
from tasks.context.environment import Environment
from tasks.context.process import ProcessIdentity
from tasks.context.server_record import ServerRecord, read_recorded_server, read_server_record

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
        f"mlflow.json{DAMAGED}1",
        f"prefect.json{DAMAGED}1",
    ]
    assert [
        f"{name}.json is damaged" in message
        for name, message in zip(("prefect", "mlflow"), caplog.messages, strict=True)
    ] == [
        True,
        True,
    ]


def written(path: Path, **changes: object) -> Path:
    """A record of this process, as of a server on port 5000."""
    record = ServerRecord.of(ProcessIdentity.current(), "http://127.0.0.1:5000", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(json.loads(record.model_dump_json()) | changes))
    return path


def test_a_record_gives_the_process_and_the_address_that_it_was_made_of(tmp_path: Path) -> None:
    found = read_server_record(written(tmp_path / "server.json"))
    assert found is not None
    assert (found.process, found.url, found.port) == (ProcessIdentity.current(), "http://127.0.0.1:5000", 5000)
    assert read_server_record(tmp_path / "other.json") is None


def test_a_server_that_has_ended_is_still_the_last_one_that_was_started_here(tmp_path: Path) -> None:
    path = written(tmp_path / "server.json", pid=2**22 - 1)
    assert read_server_record(path) is None
    found = read_recorded_server(path)
    assert found is not None
    assert found.pid == 2**22 - 1
    assert read_recorded_server(written(path, pid=2**22 - 1, host="elsewhere")) is None


def test_a_record_of_another_folder_is_about_another_server(tmp_path: Path) -> None:
    path = written(tmp_path / "original" / "server.json")
    copy = tmp_path / "server.json"
    copy.write_bytes(path.read_bytes())
    assert read_server_record(copy) is read_recorded_server(copy) is None
    (tmp_path / "link").symlink_to(path.parent)
    assert read_server_record(tmp_path / "link" / "server.json") == read_server_record(path)


@pytest.mark.parametrize("url", ["http://127.0.0.1:0", "http://localhost:5000", "https://127.0.0.1:5000", "5000"])
def test_only_an_address_on_this_machine_is_that_of_a_server(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"port|do not match"):
        ServerRecord.of(ProcessIdentity.current(), url, tmp_path / "server.json")
