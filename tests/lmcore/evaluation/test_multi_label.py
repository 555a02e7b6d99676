import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from lmcore.evaluation.intervals import Bootstrap
from lmcore.evaluation.multi_label import evaluate_multi_label, multi_label_metrics
from tests.lmcore.evaluation.evaluation_settings import CONFIG


def draw(seed: int, skill: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels of 200 documents, and probabilities that know them to some degree."""
    has_label = np.random.default_rng(0).random((200, 5)) < [0.5, 0.3, 0.2, 0.1, 0.05]
    noise = np.random.default_rng(seed).random((200, 5))
    return has_label, skill * has_label + (1 - skill) * noise


def test_metrics_are_those_of_scikit_learn():
    has_label, probabilities = draw(1, 0.4)
    found = multi_label_metrics(has_label, probabilities, Bootstrap(200, CONFIG.bootstrap, seed=0))
    predicted = probabilities >= 0.5
    expected = {
        "micro_f1": f1_score(has_label, predicted, average="micro"),
        "macro_f1": f1_score(has_label, predicted, average="macro"),
        "subset_accuracy": accuracy_score(has_label, predicted),
        "auroc": roc_auc_score(has_label, probabilities, average="macro"),
        "mean_average_precision": average_precision_score(has_label, probabilities, average="macro"),
    }
    assert {name: estimate.value for name, estimate in found.items()} == pytest.approx(expected)
    assert all(estimate.low < estimate.value < estimate.high for estimate in found.values())


def test_the_more_skilled_of_two_models_is_better_by_every_metric():
    has_label, skilled = draw(1, 0.5)
    _, other = draw(2, 0.1)
    is_clean = np.arange(200) % 2 == 0
    metrics = evaluate_multi_label(has_label, {"model": skilled, "other": other}, is_clean, CONFIG)
    differences = metrics.differences["model_minus_other"]
    assert {found.verdict(lower_is_better=False) for found in differences.values()} == {"better"}
    assert metrics.counts["n_documents_clean"] == 100
    own = metrics.models["model"]["micro_f1_clean"]
    assert own.value == pytest.approx(f1_score(has_label[is_clean], skilled[is_clean] >= 0.5, average="micro"))


def test_documents_without_any_label_and_labels_without_any_document_are_no_error():
    nothing = np.zeros((10, 3), bool)
    metrics = evaluate_multi_label(nothing, {"model": np.zeros((10, 3))}, np.ones(10, bool), CONFIG)
    found = metrics.models["model"]
    assert found["micro_f1"].value == found["macro_f1"].value == 0.0
    assert found["subset_accuracy"].value == 1.0
    assert "auroc" not in found
