"""A stage checks all parameters first, and records how it ended for the pipeline that started it."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.runtime import stage
from flows.runtime.stage import run_stage
from flows.runtime.stage_record import StageRecord
from lmcore.errors import UserError
from tasks.context.environment import Environment
from tasks.context.parameters import Parameters
from tasks.context.prefect import flow
from tasks.context.process import ProcessIdentity
from tests.sample_project import PROJECT

calls: list[tuple[int, Path]] = []


@flow
def clean(parameters: Parameters, environment: Environment) -> None:
    """Note the call; fail for one language."""
    if parameters.clean.language == "de":
        raise UserError("no documents in German")
    calls.append((parameters.pretrain.seed, environment.work_folder))


@pytest.fixture
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The work folder of a project, the current folder, in which commands are called without ending the process."""
    calls.clear()
    shutil.copy(PROJECT / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMCORE_WORK_FOLDER", str(tmp_path / "work"))
    monkeypatch.setattr(sys, "argv", ["clean"])

    def run_command(name: str, command: Callable[[], None]) -> None:
        assert name == "clean"
        command()

    monkeypatch.setattr(stage, "run_command", run_command)
    return tmp_path / "work"


def change_parameters(before: str, after: str) -> None:
    text = Path("params.yaml").read_text()
    assert before in text
    Path("params.yaml").write_text(text.replace(before, after, 1))


def record_of(work_folder: Path) -> StageRecord:
    record = StageRecord.read(work_folder / "stages" / "clean.json")
    assert record is not None
    return record


def test_a_stage_gets_parameters_and_environment_and_records_what_it_used(work_folder: Path) -> None:
    change_parameters("  seed: 1\n", "  seed: 7\n")
    run_stage(clean)
    assert calls == [(7, work_folder)]
    record = record_of(work_folder)
    assert record.state == "ran"
    assert record.seconds > 0
    assert record.peak_memory_bytes is not None
    assert record.peak_memory_bytes > 10 * 2**20, "less than Python itself needs"


def test_a_failure_is_recorded_and_raised(work_folder: Path) -> None:
    change_parameters("language: en", "language: de")
    with pytest.raises(UserError, match="no documents in German"):
        run_stage(clean)
    record = record_of(work_folder)
    assert (record.state, record.message) == ("failed", "no documents in German")
    assert record.seconds > 0


@pytest.mark.parametrize(
    ("dvc_stage", "consequence"),
    [
        (None, "nothing was started"),
        ("clean", "clean was not run, and `dvc checkout` restores the outputs that DVC removed for it"),
    ],
)
def test_an_error_in_any_section_stops_the_stage_and_the_message_says_what_dvc_has_done(
    dvc_stage: str | None, consequence: str, work_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "stop_when_abandoned", lambda *_, **__: None)
    if dvc_stage:
        monkeypatch.setenv("DVC_STAGE", dvc_stage)
    change_parameters("max_position_embeddings: 256", "max_position_embeddings: wide")
    with pytest.raises(UserError, match=f"params.yaml has 1 error; {consequence}"):
        run_stage(clean)
    assert calls == []
    message = record_of(work_folder).message
    assert message is not None
    assert consequence in message


def test_a_stage_is_stopped_with_the_pipeline_or_dvc_that_started_it(
    work_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = []
    monkeypatch.setattr(stage, "stop_when_abandoned", lambda pipeline, **by: watched.append((pipeline, by)))
    run_stage(clean)
    pipeline = ProcessIdentity.current()
    monkeypatch.setenv("LMCORE_PIPELINE_PROCESS", pipeline.to_text())
    monkeypatch.setenv("DVC_STAGE", "clean")
    run_stage(clean)
    assert watched == [(None, {"is_started_by_dvc": False}), (pipeline, {"is_started_by_dvc": True})]


def test_one_execution_of_a_stage_at_a_time_in_a_dvc_project(
    work_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    real = stage.exclusive

    def exclusive(path: Path, notice: str) -> object:
        held.append((path, notice))
        return real(path, notice)

    monkeypatch.setattr(stage, "exclusive", exclusive)
    run_stage(clean)
    assert held == []
    Path(".dvc").mkdir()
    run_stage(clean)
    ((path, notice),) = held
    assert path == Path(".dvc/tmp/stage-clean.lock")
    assert notice.startswith("clean is still running in another process")
