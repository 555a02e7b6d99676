import contextlib
import json
import os
import time

import pytest

from tasks.context.environment import Environment
from tasks.tracking.local_run import LocalRun
from tasks.tracking.outbox import flatten_metrics
from tasks.tracking.projection import Projection, flatten_parameters, metric_name
from tasks.tracking.store.client import Requests, Store
from tests.tasks.tracking.trainings import content, curve, fail, interrupt, only_run, runs, start, store_of, train

DATA_DIGEST_LENGTH = 36


def test_a_finished_run_has_curves_parameters_data_model_and_lineage(environment):
    folder = train(environment, steps=range(1, 11))
    run = only_run(environment)
    assert run.info.status == "FINISHED"
    assert curve(environment, run, "train/loss") == [(step, 1 / step) for step in range(1, 11)]
    assert [step for step, _ in curve(environment, run, "validation/loss")] == [2, 4, 6, 8, 10]
    assert run.data.params == {"seed": "0", "training.learning_rate": "0.0003"}
    assert run.data.metrics["train/n_parameters"] == 12345
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == "data/tokens"
    assert len(data.dataset.digest) == DATA_DIGEST_LENGTH
    assert {"pipeline.id", "machine.processor", "gpu.count"} <= run.data.tags.keys()
    assert not {name for name in run.data.tags if name.startswith(("process.", "dvc.dep.", "lock_file."))}
    assert json.loads(content(environment, run, "lineage.json"))["process.pid"] == str(os.getpid())
    assert run.info.run_name == f"language-model gpt {run.data.tags['model.digest'][:8]}"
    assert "models:/language-model/1" in run.data.tags["mlflow.note.content"]
    assert not list(folder.glob("tracking*"))
    assert not list(environment.work_folder.glob("tracking/*"))


def test_a_finetuned_model_links_to_its_base_model(environment):
    base = train(environment)
    interrupt(environment, model="classifier", base_model=base)
    parent, child = runs(environment)
    assert child.data.tags["model.base_digest"] == parent.data.tags["model.digest"]
    (model,) = store_of(environment).get_run(child.info.run_id).inputs.model_inputs
    assert model.model_id == parent.outputs.model_outputs[0].model_id


def test_a_failed_training_says_why_and_has_no_model(environment):
    with pytest.raises(FloatingPointError):
        fail(environment, FloatingPointError("the loss is not finite"), steps=range(1, 4))
    run = only_run(environment)
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "FloatingPointError: the loss is not finite"
    assert len(curve(environment, run, "train/loss")) == 3
    assert store_of(environment).search_registered_models() == []


@pytest.mark.parametrize("end", [KeyboardInterrupt(), SystemExit(143)])
def test_an_interrupted_training_is_killed_not_failed(environment, end):
    with pytest.raises(type(end)):
        fail(environment, end)
    assert only_run(environment).info.status == "KILLED"


def test_a_training_that_forgets_its_model_is_an_error(environment):
    with pytest.raises(RuntimeError, match="finish"), start(environment):
        pass
    assert only_run(environment).info.status == "FAILED"


def test_more_than_mlflow_takes_at_once_is_sent_in_parts(environment):
    parameters = {"many": {f"name_{index}": index for index in range(250)}, "long": "x" * 7000, "list": ["a", "b"]}
    interrupt(environment, parameters=parameters, steps=range(1, 1201))
    run = only_run(environment)
    assert len(run.data.params) == 252
    assert run.data.params["list"] == '["a", "b"]'
    assert run.data.params["long"].endswith("(7,000 characters, whole in parameters.json)")
    assert len(curve(environment, run, "train/loss")) == 1200


def test_logging_takes_next_to_no_time_of_the_training(environment):
    with contextlib.suppress(KeyboardInterrupt), start(environment) as run:
        started = time.thread_time()
        for step in range(500):
            run.log_metrics(step, dict.fromkeys("abcdef", 1.0))
        seconds = (time.thread_time() - started) / 500
        raise KeyboardInterrupt
    assert seconds < 0.01  # CPU seconds of this thread, while a step takes a tenth of a second or more


def test_runs_of_one_execution_have_one_pipeline_id(environment, monkeypatch):
    monkeypatch.setenv("LMCORE_PIPELINE_ID", "nightly 7")
    for model in ("language-model", "classifier"):
        interrupt(Environment(work_folder=environment.work_folder), model=model)
    assert {run.data.tags["pipeline.id"] for run in runs(environment)} == {"nightly 7"}


@pytest.mark.parametrize(
    ("name", "shown"),
    [("loss", "train/loss"), ("validation_loss", "validation/loss"), ("test/accuracy", "test/accuracy")],
)
def test_training_metrics_are_grouped_by_split(name, shown):
    assert metric_name(name) == shown


def test_characters_that_mlflow_refuses_in_names_are_replaced():
    assert flatten_parameters({"a(b)": {"c": True}, "none": None, "empty": {}}) == {
        "a_b_.c": "true",
        "none": "null",
        "empty": "{}",
    }
    assert flatten_metrics({"f1": {"macro": 0.5}, "is_good": True}) == {"versus/f1_macro": 0.5}


def test_a_sync_that_is_repeated_changes_nothing(environment):
    interrupt(environment, steps=range(1, 6))
    before = only_run(environment)
    (folder,) = environment.work_folder.glob("tracking/*")
    local = LocalRun.open(folder)
    for _ in range(2):
        local.update(is_synced=False)
        assert Projection(Store(environment, Requests()), local).sync() == before.info.run_id
    local.lock.release()
    after = only_run(environment)
    assert after.data.to_dictionary() == before.data.to_dictionary()
    assert (after.info.status, after.info.end_time) == (before.info.status, before.info.end_time)
    assert [step for step, _ in curve(environment, after, "train/loss")] == [1, 2, 3, 4, 5]
    assert len(after.inputs.dataset_inputs) == 1
