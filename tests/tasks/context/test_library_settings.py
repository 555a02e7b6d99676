"""Every Python of the project finds the folder's servers and writes into its work folder, unless the user chose."""

import ast
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.context import library_settings
from tasks.context.library_settings import (
    reach_loopback_directly,
    remember_store,
    set_defaults,
    store_uri,
    withdraw_defaults,
)
from tasks.context.process import ProcessIdentity
from tasks.context.server_record import ServerRecord


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path) -> Iterator[Path]:
    """A work folder that the only variable names."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ["LMCORE_WORK_FOLDER"] = str(tmp_path / "work")
    yield tmp_path / "work"
    os.environ.clear()
    os.environ.update(before)


def record_server(work_folder: Path, name: str, **changes: object) -> None:
    """A record, as the project's servers write it, of this process."""
    path = work_folder / "servers" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = ServerRecord.of(ProcessIdentity.current(), "http://127.0.0.1:5001", path)
    path.write_text(json.dumps(record.model_dump(mode="json") | changes))


def test_libraries_write_into_the_work_folder_only_and_report_nothing(work_folder: Path) -> None:
    set_defaults()
    folders = {name: value for name, value in os.environ.items() if name.endswith(("_DIR", "_HOME", "_PATH", "_URI"))}
    folders["MLFLOW_TRACKING_URI"] = folders["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///")
    assert {"PREFECT_HOME", "HF_HOME", "MPLCONFIGDIR", "DVC_SITE_CACHE_DIR"} <= os.environ.keys()
    assert len(folders) > 8
    assert all(Path(value).is_relative_to(work_folder) for value in folders.values())
    assert "PREFECT_API_URL" not in os.environ
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == os.environ["DVC_NO_ANALYTICS"] == "true"
    assert not work_folder.exists(), "a start of Python creates nothing"


def test_what_the_user_has_set_stays_and_what_the_user_changes_afterwards_too() -> None:
    os.environ["HF_HOME"] = "/mine"
    set_defaults()
    assert os.environ["HF_HOME"] == "/mine"
    os.environ["TORCH_HOME"] = "/also/mine"
    withdraw_defaults()
    left = set(os.environ) - {"NO_PROXY", "no_proxy", "PYTEST_CURRENT_TEST"}
    assert left == {"LMCORE_WORK_FOLDER", "HF_HOME", "TORCH_HOME"}


def test_a_process_that_is_started_later_finds_a_server_that_was_started_meanwhile(work_folder: Path) -> None:
    set_defaults()
    assert os.environ["MLFLOW_TRACKING_URI"] == store_uri(work_folder)
    for name in ("mlflow", "prefect"):
        record_server(work_folder, name)
    set_defaults()
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5001"
    assert os.environ["PREFECT_API_URL"] == "http://127.0.0.1:5001/api"


@pytest.mark.parametrize(
    "changes", [{"pid": 2**22 - 1}, {"pid": 10**30}, {"host": "elsewhere"}, {"folder": "/of/the/original"}]
)
def test_a_server_that_is_not_running_here_is_not_used(changes: dict[str, object], work_folder: Path) -> None:
    record_server(work_folder, "prefect", **changes)
    set_defaults()
    assert "PREFECT_API_URL" not in os.environ


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "[" * 100_000, '{"pid": "x"}'])
def test_a_damaged_record_keeps_no_python_from_starting(content: str, work_folder: Path) -> None:
    record_server(work_folder, "mlflow")
    (work_folder / "servers" / "mlflow.json").write_text(content)
    set_defaults()
    assert os.environ["MLFLOW_TRACKING_URI"] == store_uri(work_folder)


@pytest.mark.parametrize(
    ("before", "after"), [("", "127.0.0.1,localhost"), ("localhost,a.example", "localhost,a.example,127.0.0.1")]
)
def test_a_proxy_is_not_used_for_this_machine_and_every_other_exception_stays(before: str, after: str) -> None:
    os.environ["no_proxy"] = before
    for _ in range(2):
        reach_loopback_directly()
        assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == after


def test_only_a_store_that_was_moved_costs_a_process_at_the_start(
    work_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr("subprocess.run", lambda command, **_: started.append(command[1:]))
    set_defaults()
    store = work_folder / "mlflow"
    store.mkdir(parents=True)
    (store / "mlflow.db").touch()
    remember_store(store)
    set_defaults()
    assert started == []
    work_folder.rename(work_folder.with_name("moved"))
    os.environ["LMCORE_WORK_FOLDER"] = str(work_folder.with_name("moved"))
    set_defaults()
    assert [command[-2:] for command in started] == [["-m", "tasks.tracking.store.relocation"]]


def test_only_the_standard_library_is_imported_at_the_start_of_every_python() -> None:
    source = Path(library_settings.__file__).read_text(encoding="utf-8")
    imported = [
        name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    ]
    assert imported
    assert {name.split(".")[0] for name in imported if name} <= sys.stdlib_module_names
