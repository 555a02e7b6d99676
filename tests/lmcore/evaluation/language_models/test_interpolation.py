import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from lmcore.evaluation.language_models.interpolation import ContextClasses, Interpolation


def random_log_probabilities(seed: int, n_models: int, n_tokens: int) -> np.ndarray:
    return np.log(np.random.default_rng(seed).beta(0.5, 2.0, (n_models, n_tokens)) + 1e-6)


def one_class(n_tokens: int) -> np.ndarray:
    return np.zeros(n_tokens, dtype=np.int64)


def test_the_weight_of_two_models_is_the_one_a_scalar_optimizer_finds():
    scores = random_log_probabilities(0, 2, 3000)
    weights = Interpolation.fit(scores, one_class(3000), 1, prior_tokens=0.0).weights
    first, second = np.exp(scores)
    best = minimize_scalar(
        lambda weight: -np.log(weight * first + (1 - weight) * second).mean(),
        bounds=(0, 1),
        method="bounded",
        options={"xatol": 1e-8},
    )
    assert weights[0, 0] == pytest.approx(best.x, abs=2e-3)
    assert weights.sum() == pytest.approx(1)


def test_no_weights_on_a_grid_are_better_for_three_models():
    scores = random_log_probabilities(1, 3, 1000)
    mixture = Interpolation.fit(scores, one_class(1000), 1, prior_tokens=0.0)
    found = mixture.log_probabilities(scores, one_class(1000)).mean()
    grid = np.linspace(0, 1, 21)
    candidates = [(a, b, 1 - a - b) for a in grid for b in grid if a + b <= 1 + 1e-9]
    best = max(np.log(np.maximum(np.array(weights), 0) @ np.exp(scores)).mean() for weights in candidates)
    assert found >= best - 1e-7


def test_every_class_of_contexts_finds_its_best_model():
    classes = np.arange(2000) % 2
    scores = np.log(np.where(classes == 0, [[0.5], [0.1]], [[0.1], [0.4]]))
    mixture = Interpolation.fit(scores, classes, 2, prior_tokens=1.0)
    assert mixture.weights[0, 0] > 0.99
    assert mixture.weights[1, 1] > 0.99
    overall = Interpolation.fit(scores, one_class(2000), 1, prior_tokens=0.0)
    by_class = mixture.log_probabilities(scores, classes).mean()
    assert by_class > overall.log_probabilities(scores, one_class(2000)).mean()


def test_a_class_without_tokens_has_the_overall_weights():
    scores = random_log_probabilities(2, 2, 500)
    mixture = Interpolation.fit(scores, one_class(500), 3, prior_tokens=5.0)
    overall = Interpolation.fit(scores, one_class(500), 1, prior_tokens=0.0)
    np.testing.assert_allclose(mixture.weights[1:], np.repeat(overall.weights, 2, axis=0), atol=1e-3)


def test_a_mixture_of_distributions_is_a_distribution():
    generator = np.random.default_rng(3)
    distributions = generator.dirichlet(np.ones(6), size=(2, 4))  # two models, four contexts, six tokens
    mixture = Interpolation(np.array([[0.3, 0.7], [1.0, 0.0]]))
    classes = np.repeat([0, 1, 0, 1], 6)
    mixed = np.exp(mixture.log_probabilities(np.log(distributions.reshape(2, -1)), classes))
    np.testing.assert_allclose(mixed.reshape(4, 6).sum(axis=1), 1)


def test_the_likelihood_of_very_improbable_tokens_does_not_underflow():
    scores = np.array([[-900.0, -1.0], [-901.0, -2.0]])
    mixed = Interpolation(np.array([[0.5, 0.5]])).log_probabilities(scores, one_class(2))
    assert mixed[0] == pytest.approx(-900 + np.log(0.5 + 0.5 * np.exp(-1)))


def test_classes_hold_equally_many_contexts_and_equal_values_share_one():
    features = np.array([np.arange(100.0), np.repeat([0.0, 1.0], 50)])
    classes = ContextClasses.fit(features, 4)
    assert classes.n_levels == (4, 2)
    levels = np.unravel_index(classes.classify(features), classes.n_levels)
    assert np.bincount(levels[0]).tolist() == [25, 25, 25, 25]
    assert len(set(levels[1][:50].tolist())) == 1
    assert set(levels[1][:50].tolist()).isdisjoint(levels[1][50:].tolist())
    assert classes.classify(features).max() < classes.n_classes
