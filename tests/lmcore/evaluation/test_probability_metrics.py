import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from lmcore.config.evaluate import BootstrapConfig
from lmcore.evaluation.intervals import Bootstrap
from lmcore.evaluation.probability_metrics import (
    area_under_curve,
    auroc,
    auroc_difference,
    average_precision,
    macro_average,
    probability_differences,
    probability_metrics,
    reliability,
)

CONFIG = BootstrapConfig(num_resamples=400, confidence=0.95)


def draw(seed: int, n_documents: int, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of 4 classes and labels drawn from them; with another sharpness they are not calibrated."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, (n_documents, 4))
    actual = np.array([generator.choice(4, p=row) for row in softmax(logits, axis=1)])
    return softmax(sharpness * logits, axis=1), actual


def test_area_log_loss_and_brier_score_are_those_of_scikit_learn():
    own, actual = draw(0, 300)
    bootstrap = Bootstrap(300, CONFIG, seed=0)
    is_class = np.eye(4, dtype=bool)[actual]
    expected = roc_auc_score(actual, own, multi_class="ovr", average="macro")
    assert auroc(own, is_class, bootstrap).value == pytest.approx(expected)
    found = probability_metrics(own, actual, bootstrap)
    assert found["log_loss"].value == pytest.approx(log_loss(actual, own))
    by_class = [brier_score_loss(actual == number, own[:, number]) for number in range(4)]
    assert found["brier_score"].value == pytest.approx(sum(by_class))


def test_equal_scores_count_half_and_are_one_step_of_the_precision():
    generator = np.random.default_rng(1)
    scores, is_class = generator.integers(0, 4, (200, 3)).astype(float), generator.random((200, 3)) < 0.3
    once = np.ones((1, 200))
    assert macro_average(scores, is_class, area_under_curve)(once)[0] == pytest.approx(
        roc_auc_score(is_class, scores, average="macro")
    )
    assert macro_average(scores, is_class, average_precision)(once)[0] == pytest.approx(
        average_precision_score(is_class, scores, average="macro")
    )


def test_documents_that_count_twice_are_like_two_documents():
    own, actual = draw(2, 50)
    is_class = np.eye(4, dtype=bool)[actual]
    counts = np.random.default_rng(3).integers(0, 3, 50)
    drawn = np.repeat(np.arange(50), counts)
    for of_class in (area_under_curve, average_precision):
        weighted = macro_average(own, is_class, of_class)(counts[None].astype(float))[0]
        repeated = macro_average(own[drawn], is_class[drawn], of_class)(np.ones((1, len(drawn))))[0]
        assert weighted == pytest.approx(repeated)


def test_a_class_that_does_not_occur_is_left_out_of_the_average():
    own, actual = draw(4, 100)
    is_class = np.eye(4, dtype=bool)[actual]
    is_class[:, 2] = False
    kept = [0, 1, 3]
    bootstrap = Bootstrap(100, CONFIG, seed=0)
    assert auroc(own, is_class, bootstrap).value == pytest.approx(
        auroc(own[:, kept], is_class[:, kept], bootstrap).value
    )


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy():
    own, actual = draw(5, 500, sharpness=3.0)
    bins = reliability(own, actual, 0.95)
    assert sum(one.n_documents for one in bins) == 500
    gaps = sum(one.n_documents * abs(one.accuracy.value - one.confidence) for one in bins) / 500
    found = probability_metrics(own, actual, Bootstrap(500, CONFIG, seed=0))["calibration_error"]
    assert found.value == pytest.approx(gaps)
    assert found.low <= gaps <= found.high
    assert all(one.accuracy.low <= one.accuracy.value <= one.accuracy.high for one in bins)


def test_sharper_probabilities_than_the_data_have_are_worse_in_every_respect_but_not_in_order():
    own, actual = draw(6, 1000)
    sharp, _ = draw(6, 1000, sharpness=3.0)
    bootstrap = Bootstrap(1000, CONFIG, seed=0)
    differences = probability_differences(own, sharp, actual, bootstrap)
    assert {found.verdict(lower_is_better=True) for found in differences.values()} == {"better"}
    assert all(found.p_value < 0.01 for found in differences.values())
    same = probability_differences(own, own, actual, bootstrap)
    assert {(found.value, found.p_value) for found in same.values()} == {(0.0, 1.0)}


def test_a_paired_difference_of_areas_is_that_of_the_areas():
    own, actual = draw(7, 400)
    noisy = own + np.random.default_rng(8).normal(0, 0.3, own.shape)
    is_class = np.eye(4, dtype=bool)[actual]
    bootstrap = Bootstrap(400, CONFIG, seed=0)
    found = auroc_difference(own, noisy, is_class, bootstrap)
    areas = [auroc(scores, is_class, bootstrap).value for scores in (own, noisy)]
    assert found.value == pytest.approx(areas[0] - areas[1])
    assert 0 < found.low < found.high
    assert found.p_value < 0.01


def test_a_perfect_order_has_an_interval_that_says_how_few_documents_show_it():
    scores = np.array([[1.0], [2.0], [3.0], [4.0]])
    found = auroc(scores, scores > 2, Bootstrap(4, CONFIG, seed=0))
    assert found.value == found.high == 1.0
    assert found.low < 0.5


def test_intervals_of_areas_of_100_documents_contain_the_truth_in_about_95_percent_of_cases():
    own, actual = draw(9, 5000)
    is_class = np.eye(4, dtype=bool)[actual]
    truth = auroc(own, is_class, Bootstrap(5000, CONFIG.model_copy(update={"num_resamples": 100}), seed=0)).value
    generator = np.random.default_rng(10)
    hits = 0
    for case in range(150):
        drawn = generator.integers(0, 5000, 100)
        found = auroc(own[drawn], is_class[drawn], Bootstrap(100, CONFIG, seed=case))
        hits += found.low <= truth <= found.high
    assert 0.9 <= hits / 150 <= 0.99
