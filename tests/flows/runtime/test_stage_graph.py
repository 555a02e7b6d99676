"""A stage is run only if something has changed, and what became of it is told from its record and its outputs."""

from pathlib import Path
from typing import Any

import pytest

from flows.runtime import stage_graph
from flows.runtime.stage_graph import StageResult, bring_up_to_date
from flows.runtime.stage_record import StageRecord
from lmcore.errors import UserError
from tasks.context.environment import Environment
from tasks.context.errors import ShownError


class Graph:
    """A stage with two outputs, of which DVC reports changes."""

    def __init__(self, *changes: Any) -> None:
        self.found = list(changes)
        self.hashes: dict[str, str | None] = {"a.txt": "1", "b.txt": "1"}

    def changes(self, name: str) -> list[Any]:
        assert name == "clean"
        return self.found

    def outputs(self, name: str) -> dict[str, str | None]:
        return dict(self.hashes)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(work_folder=tmp_path)


def run(
    graph: Graph,
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    record: StageRecord | None = None,
    *,
    code: int = 0,
    **hashes: str,
) -> StageResult:
    """Bring the stage up to date in a process that ends with a code, and leaves a record and outputs."""

    def run_in_session(command: list[str], variables: dict[str, str]) -> int:
        assert command[1:] == ["-m", "flows.runtime.reproduce", "clean"]
        assert Path(command[0]).parent == Path(variables["PATH"].split(":")[0])
        assert variables["LMCORE_PIPELINE_ID"] == "id"
        assert not environment.stage_record("clean").exists(), "a record of an earlier execution is still there"
        if record:
            record.write(environment.stage_record("clean"))
        graph.hashes |= {f"{name}.txt": value for name, value in hashes.items()}
        return code

    environment.stage_record("clean").parent.mkdir(exist_ok=True)
    StageRecord(state="failed", message="of an earlier execution").write(environment.stage_record("clean"))
    monkeypatch.setattr(stage_graph, "run_in_session", run_in_session)
    return bring_up_to_date(graph, "clean", environment, {"LMCORE_PIPELINE_ID": "id"})  # type: ignore[arg-type]


def test_a_stage_that_nothing_has_changed_for_starts_no_process(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_graph, "run_in_session", None)
    result = bring_up_to_date(Graph(), "clean", environment, {})  # type: ignore[arg-type]
    assert (result.state, result.is_cached, result.note) == ("cached", True, "")


def test_a_stage_that_ran_has_the_memory_of_its_record(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = StageRecord(state="ran", seconds=1.0, peak_memory_bytes=7)
    result = run(Graph("changed command"), environment, monkeypatch, record, a="2")
    assert (result.state, result.peak_memory_bytes, result.note) == ("ran", 7, "")
    assert run(Graph("changed command"), environment, monkeypatch).state == "ran", "a stage of other programs"


@pytest.mark.parametrize(
    ("found", "hashes", "notes"),
    [
        ({}, {"b": "2"}, ["b.txt is from an earlier run with the same inputs"]),
        ({"a.txt": "deleted"}, {}, ["a.txt was missing and has been restored"]),
        ({"b.txt": "modified"}, {}, ["b.txt was changed or damaged and has been restored"]),
        (
            {"a.txt": "deleted", "b.txt": "modified"},
            {"a": "2"},
            [
                "a.txt is from an earlier run with the same inputs",
                "b.txt was changed or damaged and has been restored",
            ],
        ),
        ({}, {}, []),
    ],
)
def test_an_output_that_was_restored_is_named_with_the_reason(
    found: dict[str, str],
    hashes: dict[str, str],
    notes: list[str],
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes = ["changed checksum", {"changed deps": {"raw": "modified"}}, {"changed outs": found}]
    result = run(Graph(*changes), environment, monkeypatch, StageRecord(state="restored"), **hashes)
    assert list(result.restored) == notes
    assert result.state == ("restored" if notes else "cached")
    assert all(note in result.note for note in notes)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (StageRecord(state="failed", message="no documents"), "no documents"),
        (StageRecord(state="failed"), "it exited with code 3"),
        (None, "it exited with code 3"),
    ],
)
def test_a_failure_has_the_reason_that_the_stage_has_shown(
    record: StageRecord | None, reason: str, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=f"stage 'clean' failed: {reason}") as caught:
        run(Graph("always changed"), environment, monkeypatch, record, code=3)
    assert isinstance(caught.value, ShownError)
    assert caught.value.summary == "stage 'clean' failed; see its log above"
