"""Runs whose process is gone get their final state, also when their record was damaged or names another host."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tasks.context.flow_runs import close_abandoned_runs
from tests.sample_project import Sample, Servers


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"outcome": "completed"}', '{"outcome": "x", "pid": 1}', "\0"])
def test_a_damaged_record_is_set_aside_and_stops_nothing(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records = tmp_path / "flow-runs"
    records.mkdir()
    (records / f"{uuid4()}.json").write_text(content)
    assert close_abandoned_runs(tmp_path) == 0
    assert [file.suffix for file in records.iterdir()] == [".damaged-1"]
    assert "is damaged" in caplog.text


def test_a_run_of_a_machine_that_was_renamed_is_closed(sample: Sample, servers: Servers) -> None:
    flow: dict[str, Any] = servers.ask("/flows/", {"name": "of-the-old-name"})
    run = servers.ask("/flow_runs/", {"flow_id": flow["id"], "state": {"type": "RUNNING"}})
    record = {"outcome": None, "host": "old-name", "pid": 2**22 - 1, "create_time": 1.0}
    records = servers.work_folder / "flow-runs"
    records.mkdir(exist_ok=True)
    (records / f"{run['id']}.json").write_text(json.dumps(record))
    assert sample.run("sample.collect").returncode == 0
    assert servers.flow_runs()[run["id"]]["state_name"] == "Crashed"
    assert not (records / f"{run['id']}.json").exists()
