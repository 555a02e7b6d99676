"""The temperature is the best one, and repairs the confidence of a classifier that was too sure."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax

from lmcore.errors import UserError
from lmcore.finetuning.classification.calibration import COLDEST, HOTTEST, Labels, fit_calibration

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(400, 5))


def fit_temperature(logits: np.ndarray, actual: Labels) -> float:
    return fit_calibration([logits], actual).temperature


def nll(logits: np.ndarray, actual: np.ndarray, temperature: float) -> float:
    if actual.ndim == 1:
        return -float(log_softmax(logits / temperature, axis=1)[range(len(actual)), actual].mean())
    return -float(np.log(np.where(actual, expit(logits / temperature), expit(-logits / temperature))).mean())


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0, 7.0])
def test_the_temperature_undoes_the_scale_of_the_logits_for_one_label(scale: float) -> None:
    actual = (LOGITS + RANDOM.gumbel(size=LOGITS.shape)).argmax(axis=1)  # drawn from the softmax of the logits
    found = fit_temperature(scale * LOGITS, actual)
    best = minimize_scalar(lambda t: nll(scale * LOGITS, actual, t), bounds=(COLDEST, HOTTEST), method="bounded").x
    assert found == pytest.approx(best, rel=1e-3)
    assert found == pytest.approx(scale, rel=0.25)


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_the_temperature_undoes_the_scale_of_the_logits_for_any_number_of_labels(scale: float) -> None:
    actual = RANDOM.random(LOGITS.shape) < expit(LOGITS)
    found = fit_calibration([scale * LOGITS], actual)
    shifted = scale * LOGITS + found.temperature * found.bias
    best = minimize_scalar(lambda t: nll(shifted, actual, t), bounds=(COLDEST, HOTTEST), method="bounded").x
    assert found.temperature == pytest.approx(best, rel=1e-3)
    assert found.temperature == pytest.approx(scale, rel=0.25)


@pytest.mark.parametrize("bias", [-2.0, 1.0])
def test_the_bias_of_rare_or_frequent_labels_is_found(bias: float) -> None:
    actual = RANDOM.random((2000, 5)) < expit(logits := RANDOM.normal(size=(2000, 5)) + bias)
    found = fit_calibration([2.0 * (logits - bias)], actual)
    assert found.bias == pytest.approx(bias, abs=0.1)
    assert found.temperature == pytest.approx(2.0, rel=0.1)
    probabilities = expit(found.calibrated([2.0 * (logits - bias)]))
    assert probabilities.mean() == pytest.approx(actual.mean(), abs=1e-3)  # equal where the likelihood is greatest


def test_a_model_that_knows_nothing_gets_no_weight_and_one_that_knows_all_gets_much() -> None:
    actual = RANDOM.integers(3, size=300)
    right, noise = 2.0 * np.eye(3)[actual] + RANDOM.normal(size=(300, 3)), RANDOM.normal(size=(300, 3))
    assert fit_calibration([right, noise], actual).scales[0] < 0.2
    assert fit_calibration([noise, right], actual).scales[0] > 5.0
    # Two models with independent errors are better together.
    other = 2.0 * np.eye(3)[actual] + RANDOM.normal(size=(300, 3))
    both = fit_calibration([right, other], actual)
    assert 0.5 < both.scales[0] < 2.0
    assert (both.calibrated([right, other]).argmax(axis=1) == actual).mean() > (right.argmax(axis=1) == actual).mean()


def test_a_classifier_that_is_always_right_or_never_right_gets_the_end_of_the_range() -> None:
    assert fit_temperature(LOGITS, LOGITS.argmax(axis=1)) == COLDEST
    assert fit_temperature(LOGITS, LOGITS.argmin(axis=1)) == HOTTEST
    assert fit_temperature(LOGITS, LOGITS > 0) == COLDEST


def test_without_examples_there_is_no_temperature() -> None:
    with pytest.raises(UserError, match="no examples to calibrate with"):
        fit_temperature(LOGITS[:0], np.zeros(0, np.int64))
