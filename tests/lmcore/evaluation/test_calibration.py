import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_softmax
from sklearn.metrics import log_loss

from lmcore.evaluation.calibration import fit_temperature, probabilities


def overconfident_logits(seed: int, n_documents: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits three times as large as those that the labels are drawn from."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, (n_documents, 5))
    chances = probabilities(logits)
    return 3 * logits, np.array([generator.choice(5, p=row) for row in chances])


def test_the_temperature_undoes_the_overconfidence_of_the_logits():
    logits, actual = overconfident_logits(0, 4000)
    assert fit_temperature(logits, actual) == pytest.approx(3, rel=0.05)


def test_it_is_the_temperature_of_the_highest_likelihood():
    logits, actual = overconfident_logits(1, 100)
    found = fit_temperature(logits, actual)
    expected = minimize(
        lambda t: -log_softmax(logits / np.exp(t[0]), axis=1)[np.arange(100), actual].mean(), [0.0], tol=1e-10
    )
    assert found == pytest.approx(float(np.exp(expected.x[0])), rel=1e-3)
    losses = [log_loss(actual, probabilities(logits, temperature=t)) for t in (0.99 * found, found, 1.01 * found)]
    assert losses[1] == min(losses)


def test_labels_that_occur_together_are_scaled_each_by_itself():
    generator = np.random.default_rng(2)
    logits = generator.normal(-1, 1, (3000, 4))
    actual = generator.random((3000, 4)) < expit(logits)
    assert fit_temperature(logits * 2, actual) == pytest.approx(2, rel=0.07)
    assert probabilities(logits, is_multi_label=True).sum(axis=1).max() > 1


def test_the_order_of_the_labels_stays_and_rows_sum_to_one():
    logits, _ = overconfident_logits(3, 50)
    scaled = probabilities(logits, temperature=7.0)
    np.testing.assert_allclose(scaled.sum(axis=1), 1)
    np.testing.assert_array_equal(scaled.argsort(axis=1), logits.argsort(axis=1))


def test_no_documents_are_an_error():
    with pytest.raises(ValueError, match="at least one"):
        fit_temperature(np.empty((0, 3)), np.empty(0, np.int64))
