"""Results of evaluations: the same names in files, report and tracker; nothing is lost on the way to JSON and back."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from lmcore.evaluation.result import METRICS, Estimate, EvaluationResult, Metrics

ALL = Metrics(
    {"model": {"accuracy": Estimate(0.8, 0.7, 0.9), "macro_f1": Estimate(0.6, 0.5, 0.7)}},
    {"model_minus_majority_class": {"accuracy": Estimate(0.2, 0.1, 0.3)}},
    {"n_documents": 10},
)
CLEAN = Metrics(
    {"model": {"accuracy": Estimate(0.75, 0.6, 0.9), "macro_f1": Estimate(0.5, 0.4, 0.6)}},
    {"model_minus_majority_class": {"accuracy": Estimate(0.1, 0.0, 0.2)}},
    {"n_documents": 8},
)
RESULT = EvaluationResult({"model": "fine-tuned GPT"}, ALL.with_clean(CLEAN), {"labels": ["a", "b"]})


BY_SOURCE = EvaluationResult({}, replace(ALL, by_source={"books": ALL, "news": CLEAN}))


@pytest.mark.parametrize("result", [RESULT, BY_SOURCE, EvaluationResult(skipped="no document has a label")])
def test_a_result_is_the_same_after_a_round_trip_through_json(result: EvaluationResult) -> None:
    assert EvaluationResult.from_json(json.loads(json.dumps(result.as_json()))) == result


def test_a_skipped_evaluation_is_only_its_reason() -> None:
    assert EvaluationResult(skipped="why").as_json() == {"skipped": "why"}


def test_the_metric_on_clean_documents_follows_the_one_on_all() -> None:
    assert list(RESULT.metrics.models["model"]) == ["accuracy", "accuracy_clean", "macro_f1", "macro_f1_clean"]
    assert RESULT.metrics.counts == {"n_documents": 10, "n_documents_clean": 8}
    assert RESULT.metrics.is_partly_clean
    assert not ALL.is_partly_clean


def test_the_headline_is_the_first_metric_that_the_model_has_on_clean_documents_if_there_are_any() -> None:
    assert [metric.name for metric in RESULT.reported] == ["accuracy", "macro_f1"]
    assert RESULT.headline == "accuracy_clean"
    assert EvaluationResult({}, ALL).headline == "accuracy"


def test_a_tracker_gets_the_metrics_under_the_names_that_the_files_have() -> None:
    in_file, tracked = RESULT.as_json()["metrics"], RESULT.tracked()
    own = in_file.pop("model")
    assert tracked == {**own, **in_file}
    assert tracked["accuracy_clean"] == {"value": 0.75, "low": 0.6, "high": 0.9}


def test_names_of_metrics_are_unique() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))


def test_results_are_read_without_importing_anything_heavy() -> None:
    program = "import sys, lmcore.evaluation.result; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"torch", "numpy", "scipy", "sklearn", "matplotlib"} & set(done.stdout.split()) == set()


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "expected"),
    [
        (-2, -1, True, "better"),
        (-2, -1, False, "worse"),
        (1, 2, True, "worse"),
        (1, 2, False, "better"),
        (-1, 1, True, "not distinguishable"),
        (0, 1, False, "not distinguishable"),
    ],
)
def test_a_verdict_needs_the_whole_interval(low, high, lower_is_better, expected):
    assert Estimate((low + high) / 2, low, high).verdict(lower_is_better=lower_is_better) == expected
