"""The temperature is the best one, as scipy finds it, and repairs the confidence of a classifier that was too sure."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax

from lmcore.errors import UserError
from lmcore.finetuning.classification.temperature import COLDEST, HOTTEST, fit_temperature

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(400, 5))


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
    found = fit_temperature(scale * LOGITS, actual)
    best = minimize_scalar(lambda t: nll(scale * LOGITS, actual, t), bounds=(COLDEST, HOTTEST), method="bounded").x
    assert found == pytest.approx(best, rel=1e-3)
    assert found == pytest.approx(scale, rel=0.25)


def test_a_classifier_that_is_always_right_or_never_right_gets_the_end_of_the_range() -> None:
    assert fit_temperature(LOGITS, LOGITS.argmax(axis=1)) == COLDEST
    assert fit_temperature(LOGITS, LOGITS.argmin(axis=1)) == HOTTEST
    assert fit_temperature(LOGITS, LOGITS > 0) == COLDEST


def test_without_examples_there_is_no_temperature() -> None:
    with pytest.raises(UserError, match="no examples to fit a temperature"):
        fit_temperature(LOGITS[:0], np.zeros(0, np.int64))
