"""The learning rate warms up, stays and decays as configured."""

import pytest

from lmcore.config.training import ScheduleConfig
from lmcore.training.schedule import learning_rate_factor


def course(n_steps: int = 100, **values: object) -> list[float]:
    config = ScheduleConfig.model_validate(
        {"warmup_steps": 10, "decay_type": "linear", "decay_ratio": 0.5, "min_lr_ratio": 0.0} | values
    )
    return [learning_rate_factor(config, step, n_steps) for step in range(n_steps)]


@pytest.mark.parametrize("decay_type", ["linear", "cosine"])
@pytest.mark.parametrize("decay_ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n_steps", [3, 11, 100])
def test_it_rises_then_falls_and_is_never_zero(decay_type: str, decay_ratio: float, n_steps: int) -> None:
    factors = course(n_steps, decay_type=decay_type, decay_ratio=decay_ratio)
    peak = factors.index(max(factors))
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert all(0 < factor <= 1 for factor in factors)


def test_the_plateau_lasts_until_the_decay() -> None:
    factors = course()
    assert factors[10:50] == [1.0] * 40
    assert factors[49] == 1.0 > factors[50]


def test_it_decays_to_the_final_ratio() -> None:
    assert course(min_lr_ratio=0.1)[-1] == pytest.approx(0.1, abs=0.02)
