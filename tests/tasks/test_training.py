import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import tasks.training
from lmcore.runtime.files import folder_digest
from tasks.context.stage_code import stage_code
from tests.tasks.tracking.trainings import only_run, runs

PROJECT = Path(__file__).parents[2]
REQUESTS_BETWEEN_KILLS = 16


@pytest.fixture
def make_model(environment):
    """A training of the pretrain stage, which counts in the file ``made`` how often it is computed."""
    from tests.tasks.tracking.killed_trainings import train

    return lambda: train(environment.work_folder)


def test_a_finished_model_is_not_trained_again_because_its_stage_was_killed(environment, make_model, monkeypatch):
    (Path("data")).mkdir(exist_ok=True)
    make_model()
    first = folder_digest(Path("model")), folder_digest(Path("curves"))
    for folder in ("model", "curves"):
        shutil.rmtree(folder)  # as DVC does before it runs the stage again
    make_model()
    assert (folder_digest(Path("model")), folder_digest(Path("curves"))) == first
    assert Path("made").read_text() == "once\n"
    assert only_run(environment).info.status == "FINISHED"
    monkeypatch.setattr(tasks.training, "is_forced", lambda: True)
    make_model()
    assert Path("made").read_text() == "once\nonce\n"
    assert [run.info.status for run in runs(environment)] == ["FINISHED", "FINISHED"]


def test_a_kill_at_any_request_leaves_one_run_one_model_and_each_metric_once(tmp_path, empty_store):
    (tmp_path / "empty.db").write_bytes(empty_store)
    program = [sys.executable, "-m", "tests.tasks.tracking.killed_trainings"]
    arguments = [tmp_path / "killed", tmp_path / "empty.db", REQUESTS_BETWEEN_KILLS]
    done = subprocess.run([*program, *map(str, arguments)], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 2 * REQUESTS_BETWEEN_KILLS


def test_the_code_of_a_tracked_training_is_that_of_its_stage(environment, monkeypatch):
    used = []

    @contextmanager
    def folder(*_, code, **__):
        used.append(code)
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(tasks.training, "checkpoint_folder", folder)
    for stage in ("pretrain", "finetune"):
        training = tasks.training.tracked_training(
            environment,
            stage=stage,
            model="classifier",
            family="gpt",
            parameters={},
            inputs=[],
            datasets=[],
            model_folder=Path("model"),
            curves=Path("curves"),
        )
        with pytest.raises(KeyboardInterrupt), training:
            pass
    assert used == [stage_code("pretrain"), stage_code("finetune")]
    assert used[0] != used[1]


def test_a_training_that_shall_be_new_continues_no_other_one(environment, make_model, monkeypatch):
    given = []
    monkeypatch.setattr(tasks.training.Training, "__init__", lambda self, *parts, **_: given.append(parts[2].earlier))

    def open_training(max_steps, **options):
        details = {"stage": "pretrain", "model": "m", "family": "gpt", "inputs": [], "datasets": []}
        folders = {"model_folder": Path("model"), "curves": Path("curves")}
        parameters = {"training": {"max_steps": max_steps}}
        with tasks.training.tracked_training(environment, parameters=parameters, **details, **folders, **options):
            raise KeyboardInterrupt

    monkeypatch.setattr(tasks.training.Training, "report_start", lambda _: None)
    for max_steps, options in ((1, {}), (2, {}), (3, {"reuses_result": False})):
        with pytest.raises(KeyboardInterrupt):
            open_training(max_steps, **options)
    monkeypatch.setattr(tasks.training, "is_forced", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        open_training(4)
    assert [len(earlier) for earlier in given] == [0, 1, 0, 0]
