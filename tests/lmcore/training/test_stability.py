"""A step is skipped for a loss far above the last ones, not for the surprises of a model that has learned its data."""

import math
import random

import pytest

from lmcore.config.training import StabilityConfig
from lmcore.training.stability import reason_to_skip

CONFIG = StabilityConfig(spike_window_steps=50, spike_sigmas=6.0, max_skipped_steps=5, max_rollbacks=2)


def losses(mean: float, deviation: float) -> list[float]:
    generator = random.Random(0)
    return [generator.gauss(mean, deviation) for _ in range(CONFIG.spike_window_steps)]


def test_a_loss_far_above_the_last_ones_is_a_spike() -> None:
    recent = losses(3.0, 0.05)
    assert reason_to_skip(3.2, 1.0, recent, CONFIG) is None
    assert reason_to_skip(4.0, 1.0, recent, CONFIG) is not None
    assert reason_to_skip(4.0, 1.0, recent[1:], CONFIG) is None


def test_no_step_of_a_training_is_skipped_whose_loss_is_near_zero_but_for_a_surprise_now_and_then() -> None:
    """In every twentieth batch of 200 targets, one or two have a loss of 4 to 8 nats."""
    generator, recent, skipped = random.Random(1), list[float](), 0
    for step in range(400):
        loss = generator.expovariate(1 / 0.002)
        if step % 20 == 19:
            loss += sum(generator.uniform(4, 8) for _ in range(generator.randint(1, 2))) / 200
        if reason_to_skip(loss, 1.0, recent[-CONFIG.spike_window_steps :], CONFIG) is None:
            recent.append(loss)
        else:
            skipped += 1
    assert skipped == 0


def test_a_spike_from_near_zero_is_one_where_the_targets_become_improbable() -> None:
    recent = losses(0.01, 0.002)
    assert reason_to_skip(0.9, 1.0, recent, CONFIG) is None
    assert reason_to_skip(1.1, 1.0, recent, CONFIG) is not None


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (0.1, math.inf)])
def test_what_is_not_finite_is_skipped_always(loss: float, norm: float) -> None:
    assert reason_to_skip(loss, norm, [], CONFIG) is not None
