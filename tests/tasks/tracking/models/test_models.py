import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.folder import load_classifier, save_classifier
from lmcore.generation import Generator
from lmcore.models.folder import save_language_model
from tasks.tracking.models.model import requirements, write_mlflow_model
from tests.lmcore.generation.toy_models import settings
from tests.lmcore.models.prompt_formats import prompt_format_with
from tests.tasks.tracking.tiny_models import LABELS, RECORD, save_tiny_model
from tests.tasks.tracking.trainings import runs, store_of, train

LOGGED = SimpleNamespace(artifact_location="", model_id=None)


def test_every_kind_of_model_answers_in_another_process_and_folder(environment, tmp_path):
    for model in ("language-model", "classifier", "completion"):
        train(environment, model=model)
    by_run = f"runs:/{runs(environment)[0].info.run_id}/language-model"
    script = f"""
import mlflow, pandas
mlflow.set_tracking_uri({environment.mlflow_store_uri!r})
load = mlflow.pyfunc.load_model
question = pandas.DataFrame({{"prompt": ["the list is", ""]}})
models = [load({by_run!r}), load("models:/completion/1")]
short = [list(model.predict(question, params={{"max_new_tokens": 3}})["completion"]) for model in models]
again = [list(model.predict(question, params={{"max_new_tokens": 3}})["completion"]) for model in models]
assert short == again and all(isinstance(text, str) for texts in short for text in texts), short
answer = load("models:/classifier/1").predict(pandas.DataFrame({{"text": ["sorted", "the list"]}}))
assert set(answer["label"]) <= set({LABELS!r}), answer
assert all(abs(sum(run.values()) - 1) < 1e-5 for run in answer["probabilities"]), answer
"""
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=without_project(), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


def without_project():
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.mark.parametrize(
    ("model", "request_body", "column"),
    [
        ("language-model", {"dataframe_split": {"columns": ["prompt"], "data": [["the list"]]}}, "completion"),
        ("classifier", {"dataframe_records": [{"text": "the list"}]}, "label"),
    ],
)
def test_a_model_answers_requests_as_its_server_gets_them(environment, model, request_body, column):
    import mlflow
    from fastapi.testclient import TestClient
    from mlflow.pyfunc.scoring_server import init

    train(environment, model=model)
    client = TestClient(init(mlflow.pyfunc.load_model(f"models:/{model}/1")))
    answer = client.post("/invocations", json=request_body)
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json()["predictions"][0][column], str)
    assert client.post("/invocations", json={"dataframe_records": [{"wrong": "x"}]}).status_code == 400


def test_a_request_may_set_sampling_parameters_and_stop_strings(environment):
    import mlflow
    from fastapi.testclient import TestClient
    from mlflow.pyfunc.scoring_server import init

    train(environment, model="language-model")
    client = TestClient(init(mlflow.pyfunc.load_model("models:/language-model/1")))

    def ask(**params):
        body = {
            "dataframe_split": {"columns": ["prompt"], "data": [["the list"]]},
            "params": {"max_new_tokens": 12} | params,
        }
        answer = client.post("/invocations", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["predictions"][0]["completion"]

    whole = ask(min_p=0.1)
    assert len(whole) > 3
    stop = whole[2:4]
    assert ask(min_p=0.1, stop_strings=[stop, "never there"]) == whole[: whole.index(stop)]
    assert ask(temperature=0.0, repetition_penalty=5.0) != ask(temperature=0.0)


def test_equal_models_are_registered_once_and_different_ones_twice(environment):
    for seed in (1, 1, 2):
        train(environment, seed=seed)
    versions = store_of(environment).search_model_versions("name = 'language-model'")
    assert {version.version for version in versions} == {1, 2}
    assert {version.tags["model.digest"] for version in versions} == {
        run.data.tags["model.digest"] for run in runs(environment)
    }


@pytest.mark.parametrize(
    ("data", "params", "said"),
    [
        ("the list", {"temperature": -3.0}, "temperature is -3.0: Input should be greater than or equal to 0"),
        ("the list", {"max_new_tokens": 100_000}, "expected at most 31"),
        ("the list", {"max_new_tokens": 0}, "max_new_tokens is 0: Input should be greater than 0"),
        ("the list", {"top_p": 2.0}, "top_p is 2.0"),
        ("the list", {"top_k": -5}, "top_k is -5"),
        ("the list", {"seed": -1}, "seed is -1"),
        ("the list", {"max_token": 5}, "unknown parameter max_token: expected max_new_tokens, min_p"),
        (5, {}, "prompt of row 0 is 5: expected a string"),
        (None, {}, "prompt of row 0 is null: expected a string"),
        ("x" * 100_001, {}, "prompt of row 0 has 100,001 characters: expected at most 100,000"),
    ],
)
def test_an_invalid_request_is_refused_in_one_sentence(client, data, params, said):
    answer = client.post("/invocations", json={"dataframe_records": [{"prompt": data}], "params": params})
    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert len(answer.json()["message"]) < 300
    assert "stack_trace" not in answer.json()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A language model's server."""
    import mlflow
    from fastapi.testclient import TestClient
    from mlflow.pyfunc.scoring_server import init

    folder = tmp_path_factory.mktemp("served")
    save_tiny_model(folder / "model", "language-model")
    write_mlflow_model(folder / "logged", folder / "model", "0" * 64, "run", LOGGED)
    return TestClient(init(mlflow.pyfunc.load_model(str(folder / "logged"))))


def test_requirements_are_versions_that_an_index_has():
    assert all(re.fullmatch(r"[a-z0-9]+==[0-9.]+", requirement) for requirement in requirements())


def test_a_classifier_of_any_number_of_labels_and_a_prompt_of_two_fields_answer_requests(tmp_path):
    import mlflow
    import pandas

    save_tiny_model(tmp_path / "classifier", "classifier")
    gpt, tokenizer = load_classifier(tmp_path / "classifier")[0].backbone, load_classifier(tmp_path / "classifier")[1]
    labels = Classifier(gpt, LABELS, max_tokens=16, problem_type="multi_label_classification", temperature=2.0)
    torch.nn.init.constant_(labels.head.weight, 0.0)
    save_classifier(tmp_path / "labels", labels, tokenizer, RECORD.to_json())
    asking = prompt_format_with("", 16, 4, template="{{ context }} {{ question }}", truncated_field="context")
    save_language_model(tmp_path / "question", gpt, tokenizer, RECORD.to_json(), prompt_format=asking)
    loaded = {}
    for name in ("labels", "question"):
        write_mlflow_model(tmp_path / f"logged-{name}", tmp_path / name, "0" * 64, "run", LOGGED)
        loaded[name] = mlflow.pyfunc.load_model(str(tmp_path / f"logged-{name}"))
    (answer,) = loaded["labels"].predict(pandas.DataFrame({"text": ["the list"]})).to_dict("records")
    assert answer == {"labels": list(LABELS), "probabilities": dict.fromkeys(LABELS, 0.5)}
    fields = pandas.DataFrame({"context": ["the list is sorted"], "question": ["how"]})
    (text,) = loaded["question"].predict(fields)["completion"]
    model = Generator(gpt, tokenizer, asking)
    config = settings(max_new_tokens=4)
    assert text == model.complete([{"context": "the list is sorted", "question": "how"}], config)[0].text
