"""The law is recovered from losses that follow it, predicts sizes that it has not seen, and says how sure it is."""

import numpy as np
import pytest

from lmcore.errors import UserError
from lmcore.evaluation.scaling_law import COEFFICIENTS, Point, ScalingLaw, fit_scaling_law

HOFFMANN = ScalingLaw(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
SIZES = (6e5, 9e5, 2e6, 3.2e6, 6.5e6)


def losses(law: ScalingLaw, *, noise: float = 0.0, seed: int = 0) -> list[Point]:
    generator = np.random.default_rng(seed)
    return [
        Point(size, tokens, law.predict(size, tokens) * float(np.exp(generator.normal(0.0, noise))))
        for size in SIZES
        for tokens in np.linspace(3e5, 1.2e6, 6)
    ]


@pytest.mark.parametrize("law", [HOFFMANN, ScalingLaw(E=2.5, A=50.0, B=2000.0, alpha=0.25, beta=0.6)])
def test_the_law_that_made_the_losses_is_found(law: ScalingLaw) -> None:
    found = fit_scaling_law(losses(law), n_resamples=3, confidence=0.95, seed=1)
    for name in COEFFICIENTS:
        assert getattr(found.law, name) == pytest.approx(getattr(law, name), rel=1e-3)
    prediction = found.predict(2e7, 5e6)
    assert prediction.value == pytest.approx(law.predict(2e7, 5e6), rel=1e-5)
    assert prediction.high - prediction.low < 1e-3


def test_a_few_wild_losses_hardly_change_the_prediction() -> None:
    points = losses(HOFFMANN, noise=0.001)
    wild = [*points[:-2], *(Point(point.n_parameters, point.n_tokens, point.loss * 1.5) for point in points[-2:])]
    found = fit_scaling_law(wild, n_resamples=1, confidence=0.95, seed=1)
    assert found.law.predict(3.2e6, 1.2e6) == pytest.approx(HOFFMANN.predict(3.2e6, 1.2e6), rel=0.01)


def test_most_intervals_contain_the_loss_of_a_larger_size() -> None:
    hits = []
    for seed in range(6):
        found = fit_scaling_law(losses(HOFFMANN, noise=0.005, seed=seed), n_resamples=20, confidence=0.95, seed=seed)
        prediction = found.predict(1e7, 1.2e6)
        hits.append(prediction.low <= HOFFMANN.predict(1e7, 1.2e6) <= prediction.high)
    assert sum(hits) >= 4


def test_the_same_seed_gives_the_same_intervals() -> None:
    points = losses(HOFFMANN, noise=0.005)
    first, second = (fit_scaling_law(points, n_resamples=5, confidence=0.9, seed=3) for _ in range(2))
    assert first == second


def test_too_few_losses_are_refused() -> None:
    points = losses(HOFFMANN)
    for few in (points[:4], points[:6]):  # six of one size
        with pytest.raises(UserError, match="too few for a scaling law"):
            fit_scaling_law(few, n_resamples=1, confidence=0.95, seed=1)
