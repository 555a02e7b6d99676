"""The learning rate warms up, stays and decays as configured."""

import pytest

from lmcore.config.training import ScheduleConfig
from lmcore.training.schedule import first_decay_step, learning_rate_factor


def course(n_steps: int = 100, **values: object) -> list[float]:
    config = ScheduleConfig.model_validate(
        {"warmup_steps": 10, "decay_type": "linear", "decay_ratio": 0.5, "min_lr_ratio": 0.0, "restart_steps": ()}
        | values
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


def test_a_restart_begins_the_schedule_anew() -> None:
    factors = course(100, restart_steps=(40,))
    assert factors[:40] == course(40)
    assert factors[40:] == course(60)
    assert course(40, restart_steps=(40,)) == course(40)


@pytest.mark.parametrize(("decay_ratio", "restart_steps"), [(0.0, ()), (0.5, ()), (1.0, ()), (0.5, (30, 60))])
def test_learning_rates_before_the_last_decay_do_not_depend_on_the_number_of_steps(
    decay_ratio: float, restart_steps: tuple[int, ...]
) -> None:
    changes: dict[str, object] = {"decay_ratio": decay_ratio, "restart_steps": restart_steps}
    first, longer = course(80, **changes), course(120, **changes)
    values = {"warmup_steps": 10, "decay_type": "linear", "min_lr_ratio": 0.0} | changes
    same = first_decay_step(ScheduleConfig.model_validate(values), 80)
    assert first[:same] == longer[:same]
    assert same == 80 or first[same] != longer[same]


@pytest.mark.parametrize("restart_steps", [(3, 2), (2, 2), (0,)])
def test_restarts_rise(restart_steps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="restart_steps"):
        course(10, restart_steps=restart_steps)


def test_it_decays_to_the_final_ratio() -> None:
    assert course(min_lr_ratio=0.1)[-1] == pytest.approx(0.1, abs=0.02)
