import os
from pathlib import Path

import pytest

from lmcore.runtime.files import folder_digest
from tasks.context import checkpoints
from tasks.context.checkpoints import KEPT_RESULTS, checkpoint_folder, training_of


def training(folder, seed=0, *, code=""):
    return checkpoint_folder(folder / "checkpoints", "model", config={"seed": seed}, inputs=[], code=code)


def make(folder, seed=0, **details):
    """A training that finishes; its second part, which a result that is there spares it, is counted."""
    with training(folder, seed, **details) as work:
        if result := work.result():
            return result, False
        (work.path / "step-1").mkdir()
        return work.save_result(lambda folder: (folder / "weights").write_bytes(bytes([seed] * 10))), True


def test_a_finished_training_is_found_again_and_its_checkpoints_are_gone(tmp_path):
    result, is_new = make(tmp_path)
    assert is_new
    again, is_new = make(tmp_path)
    assert not is_new
    assert folder_digest(result) == folder_digest(again)
    assert not list(tmp_path.glob("checkpoints/*/step-*"))


def test_a_result_is_that_of_its_parameters_and_code_alone(tmp_path):
    assert make(tmp_path, 0, code="1")[1]
    assert make(tmp_path, 1, code="1")[1]
    assert make(tmp_path, 0, code="2")[1]
    assert not make(tmp_path, 0, code="1")[1]


@pytest.mark.parametrize("name", ["result.json", "content/weights"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00", None])
def test_a_damaged_result_is_named_set_aside_and_made_again(tmp_path, caplog, name, content):
    result, _ = make(tmp_path)
    path = result.parent / name
    path.write_bytes(path.read_bytes()[:-2] + b"x\n" if content is None else content)
    assert make(tmp_path)[1]
    assert "renamed to result.damaged" in caplog.text
    assert not make(tmp_path)[1]


def test_results_are_bounded_and_the_newest_ones_stay(tmp_path):
    for seed in range(KEPT_RESULTS + 3):
        result, _ = make(tmp_path, seed)
        os.utime(result.parents[1], (1e9 + seed, 1e9 + seed))
        os.utime(Path(result.parents[1]), None if seed > 2 else (1.7e9 + seed, 1.7e9 + seed))
    kept = {result.read_bytes()[0] for result in tmp_path.glob("checkpoints/*/result/content/weights")}
    assert kept == {3, 4, 5}


def test_a_training_that_fails_leaves_its_checkpoints(tmp_path):
    def fail():
        with training(tmp_path) as work:
            (work.path / "step-1").mkdir()
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert list(tmp_path.glob("checkpoints/*/step-1"))


def continuing(folder, name="model", *, code="", **settings):
    config = {"seed": 0, "training": {"max_steps": 1, "batch_size": 1} | settings}
    return checkpoint_folder(folder, name, config=config, inputs=[], code=code)


def finish(folder, name="model", **settings):
    """A training that leaves a state; returns its folder."""
    with continuing(folder, name, **settings) as work:
        (work.path / "step-1").mkdir()
        (work.path / "step-1" / "tensors").write_bytes(bytes(100))
        work.save_result(lambda content: (content / "weights").write_bytes(b"x"))
        return work.path


def test_only_a_training_with_other_limits_is_given_the_state_of_an_earlier_one(tmp_path):
    first = finish(tmp_path)
    assert [path.name for path in (first / "state").iterdir()] == ["step-1"]
    for settings, is_given in (
        ({"max_steps": 2}, True),
        ({"max_steps": 2, "num_train_epochs": 1.0, "early_stopping_patience": 3, "schedule": {}}, True),
        ({"batch_size": 2}, False),
        ({"code": "2"}, False),
        ({"name": "other"}, False),
    ):
        with continuing(tmp_path, **settings) as work:
            assert (first / "state" in work.earlier) == is_given
            assert all(training_of(path) == first.name for path in work.earlier if first in path.parents)


def test_the_newest_state_of_each_model_is_kept_up_to_a_size(tmp_path, monkeypatch):
    first, second, other = finish(tmp_path), finish(tmp_path, max_steps=2), finish(tmp_path, "other")
    states = {path.parent for path in tmp_path.glob("*/state")}
    assert states == {second, other}
    assert (first / "result").is_dir()
    monkeypatch.setattr(checkpoints, "KEPT_STATE_BYTES", 150)
    third = finish(tmp_path, max_steps=3)
    assert {path.parent for path in tmp_path.glob("*/state")} == {third}
    assert {path.parent for path in tmp_path.glob("*/result")} == {first, second, other, third}
