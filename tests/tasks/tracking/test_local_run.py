from pathlib import Path

import pytest

from tasks import tracking
from tests.tasks.tracking.tiny_models import save_tiny_model
from tests.tasks.tracking.trainings import curve, finish, interrupt, log_steps, only_run, runs, start, train


def cut_off(path):
    path.write_bytes(path.read_bytes()[:40])


def empty(path):
    path.write_bytes(b"")


def change_a_digit(path):
    text = path.read_text()
    index = text.index('"time": 1') if '"time": 1' in text else text.index('"start_time": 1')
    path.write_text(text[: index + 10] + text[index + 10 :].replace("7", "8", 1))


def remove(path):
    path.unlink()


def not_text(path):
    path.write_bytes(bytes(range(256)))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *(("run.json", damage) for damage in (cut_off, empty, change_a_digit, remove, not_text)),
        *(("metrics.jsonl", damage) for damage in (cut_off, change_a_digit, not_text)),
    ],
)
def test_a_damaged_file_is_reported_and_its_run_is_resumed_and_complete(name, damage, environment, caplog):
    interrupt(environment, steps=range(1, 8))
    (path,) = environment.work_folder.glob(f"tracking/*/{name}")
    damage(path)
    finish(environment, resumed_from_step=5, steps=range(1, 11))
    run = only_run(environment)
    assert run.info.status == "FINISHED"
    assert "error" not in run.data.tags
    assert [step for step, _ in curve(environment, run, "train/loss")] == list(range(1, 11))
    assert str(path.parent) in caplog.text


def test_the_metrics_of_a_killed_training_reach_mlflow_even_if_its_run_file_is_damaged(environment):
    interrupt(environment, steps=range(1, 4))
    (path,) = environment.work_folder.glob("tracking/*/run.json")
    cut_off(path)
    train(environment, model="classifier")  # another stage
    run = next(run for run in runs(environment) if run.data.tags.get("model.name") == "language-model")
    assert run.info.status == "KILLED"
    assert [step for step, _ in curve(environment, run, "train/loss")] == [1, 2, 3]


def test_a_half_removed_local_run_does_not_undo_what_mlflow_has(environment):
    train(environment)
    finished = only_run(environment)
    folder = environment.work_folder / "tracking" / finished.data.tags["training.id"]
    folder.mkdir()
    (folder / "lock").touch()
    tracking.catch_up(environment)
    assert only_run(environment).info.status == "FINISHED"
    assert "error" not in only_run(environment).data.tags
    assert not folder.exists() or not list(folder.glob("*.damaged*"))


def test_metrics_missing_from_the_local_run_come_from_the_training_record(environment):
    with start(environment) as run:
        log_steps(run, range(1, 4))
        save_tiny_model(Path("model"), "language-model")
        run.finish(Path("model"))
    run = only_run(environment)
    assert [step for step, _ in curve(environment, run, "train/loss")] == [1, 2, 3, 4]
    assert curve(environment, run, "train/n_parameters") == [(0, 12345)]


def test_a_damaged_evaluation_is_set_aside_and_does_not_hold_up_the_others(environment, monkeypatch, caplog):
    folder = train(environment)
    keep = {"model": "language-model", "folder": folder, "artifacts": []}
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "catch_up", lambda _: None)
        tracking.log_evaluation(environment, metrics={"bits": 1}, **keep)
    (path,) = environment.work_folder.glob("tracking/evaluation-*/evaluation.json")
    cut_off(path)
    tracking.catch_up(environment)
    assert "renamed to" in caplog.text
    tracking.log_evaluation(environment, metrics={"bits": 2}, **keep)
    assert curve(environment, only_run(environment), "test/bits") == [(0, 2)]
