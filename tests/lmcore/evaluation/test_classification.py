import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, roc_auc_score

from lmcore.config.evaluate import BootstrapConfig
from lmcore.evaluation import classification
from lmcore.evaluation.classification import ClassifiedDocuments, classification_metrics, majority_class
from lmcore.evaluation.intervals import Bootstrap
from tests.lmcore.evaluation.evaluation_settings import CONFIG

BOOTSTRAP = BootstrapConfig(num_resamples=400, confidence=0.95)


def random_predictions(seed: int, n_items: int, n_classes: int, skill: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    actual = generator.choice(n_classes, n_items, p=np.arange(1, n_classes + 1) / sum(range(1, n_classes + 1)))
    random = generator.integers(0, n_classes, n_items)
    return actual, np.where(generator.random(n_items) < skill, actual, random)


@pytest.mark.parametrize(("n_items", "skill"), [(300, 0.7), (5, 0.0), (40, 1.0)])
def test_accuracy_macro_f1_and_confusions_are_those_of_scikit_learn(n_items, skill):
    actual, predicted = random_predictions(1, n_items, 6, skill)
    metrics = classification_metrics(actual, predicted, 6, Bootstrap(n_items, BOOTSTRAP, seed=0))
    assert metrics["accuracy"].value == pytest.approx(accuracy_score(actual, predicted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes that are never predicted
        assert metrics["macro_f1"].value == pytest.approx(f1_score(actual, predicted, average="macro"))
    ours = classification.confusion_matrix(actual, predicted, 6)
    np.testing.assert_array_equal(ours, confusion_matrix(actual, predicted, labels=range(6)))


def test_the_interval_of_the_macro_f1_is_that_of_scikit_learn_over_drawn_samples():
    actual, predicted = random_predictions(2, 200, 4, 0.6)
    estimate = classification_metrics(actual, predicted, 4, Bootstrap(200, BOOTSTRAP, seed=0))["macro_f1"]
    generator = np.random.default_rng(3)
    drawn = [generator.integers(0, 200, 200) for _ in range(150)]
    scores = [f1_score(actual[sample], predicted[sample], average="macro") for sample in drawn]
    expected = np.quantile(scores, [0.025, 0.975])
    np.testing.assert_allclose([estimate.low, estimate.high], expected, atol=0.02)


def test_classes_that_are_never_predicted_count_as_wrong():
    actual, predicted = np.array([0, 0, 1, 2]), np.array([0, 0, 1, 1])
    metrics = classification_metrics(actual, predicted, 3, Bootstrap(4, BOOTSTRAP, seed=0))
    assert metrics["accuracy"].value == 0.75
    assert metrics["macro_f1"].value == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_the_majority_class_is_the_most_frequent_and_on_ties_the_first_in_alphabetical_order():
    assert majority_class(["b", "a", "b", "c"], 2) == ["b", "b"]
    assert majority_class(["c", "b", "b", "c"], 1) == ["b"]


def test_documents_of_untrained_classes_count_as_wrong_for_every_model():
    classified = ClassifiedDocuments(
        trained=("a", "b"),
        ids=list("vwxyz"),
        labels=["a", "b", "c", "d", "c"],
        predicted={"model": ["a", "a", "a", "b", "b"], "majority_class": ["a"] * 5},
    )
    assert classified.untrained == ("c", "d")
    metrics = classified.evaluate(np.array([True, True, True, False, False]), CONFIG)
    assert metrics.models["model"]["accuracy"].value == pytest.approx(1 / 5)
    assert metrics.models["model"]["accuracy_clean"].value == pytest.approx(1 / 3)
    assert metrics.differences["model_minus_majority_class"]["accuracy"].value == 0
    assert metrics.counts["n_documents_of_untrained_classes"] == 3
    confusion = classified.confusion()
    assert confusion["labels"] == ["a", "b", "c", "d"]
    assert confusion["confusion"] == [[1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0]]


def test_the_rarest_of_many_untrained_classes_share_the_last_row():
    labels = ["a", *(f"class {number:02}" for number in range(20) for _ in range(30 - number))]
    ids = [str(index) for index in range(len(labels))]
    classified = ClassifiedDocuments(("a",), ids, labels, {"model": ["a"] * len(labels)})
    confusion = np.array(classified.confusion()["confusion"])
    assert classified.confusion()["labels"][1:3] == ["class 00", "class 01"]
    assert confusion.shape == (12, 12)
    assert confusion[:, 0].tolist() == [1, *range(30, 20, -1), sum(range(11, 21))]


def test_scores_and_probabilities_are_measured_on_documents_of_trained_classes():
    generator = np.random.default_rng(4)
    labels = [str(label) for label in generator.choice(["a", "b", "c", "rare"], 80)]
    probabilities = generator.dirichlet([1, 1, 1], 80)
    sharper = probabilities**2 / (probabilities**2).sum(axis=1, keepdims=True)
    predicted = [("a", "b", "c")[index] for index in probabilities.argmax(axis=1)]
    classified = ClassifiedDocuments(
        ("a", "b", "c"),
        [str(index) for index in range(80)],
        labels,
        {"model": predicted, "majority_class": ["a"] * 80},
        scores={"model": probabilities},
        probabilities={"model": probabilities, "uncalibrated": sharper},
    )
    metrics = classified.evaluate(np.arange(80) < 60, CONFIG)
    known = np.array([label != "rare" for label in labels])
    actual = np.array(labels)[known]
    own = metrics.models["model"]
    assert own["log_loss"].value == pytest.approx(log_loss(actual, probabilities[known]))
    assert own["auroc"].value == pytest.approx(roc_auc_score(actual, probabilities[known], multi_class="ovr"))
    assert own["accuracy"].value == pytest.approx(accuracy_score(labels, predicted))
    assert set(metrics.models["majority_class"]) == {"accuracy", "accuracy_clean", "macro_f1", "macro_f1_clean"}
    assert set(metrics.differences["model_minus_uncalibrated"]) >= {
        "log_loss",
        "brier_score",
        "calibration_error_clean",
    }
    bins = classified.reliability("uncalibrated", 0.95)
    assert sum(one["n_documents"] for one in bins) == known.sum()


def test_several_examples_of_a_document_are_one_cluster():
    generator = np.random.default_rng(5)
    labels = ["complete", "truncated"] * 100
    is_right = generator.random(200) < 0.8
    predicted = [label if right else "complete" for label, right in zip(labels, is_right, strict=True)]
    ids, classes = [str(index) for index in range(200)], ("complete", "truncated")
    once = ClassifiedDocuments(classes, ids, labels, {"model": predicted})
    often = ClassifiedDocuments(classes, ids * 4, labels * 4, {"model": predicted * 4})
    single, repeated = (found.evaluate(np.ones(len(found.labels), bool), CONFIG) for found in (once, often))
    own, other = single.models["model"]["accuracy"], repeated.models["model"]["accuracy"]
    assert other.value == own.value
    # The same examples four times over are no more evidence.
    assert other.high - other.low == pytest.approx(own.high - own.low, rel=0.3)
