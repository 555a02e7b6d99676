"""The cost of a training is that of its own steps, and memory is what a block adds."""

import json
import time

import numpy as np
import pytest

from lmcore.config.training import TrainingConfig
from lmcore.training.timing import PEAK_RESET, TrainingCost, added_memory, measure_cost
from tests.lmcore.models.gpt.test_gpt import make_model
from tests.lmcore.training.trainer import CONFIG, make_batches

COST = TrainingCost(
    start_seconds=1.0, step_seconds=0.5, validation_seconds=2.0, checkpoint_seconds=0.25, memory_bytes=None
)


def test_the_duration_is_the_sum_of_its_parts_and_steps_fill_the_time_that_is_left() -> None:
    assert COST.seconds(n_steps=10, n_validations=2, n_checkpoints=4) == 1.0 + 5.0 + 4.0 + 1.0
    n_steps = COST.steps_within(20.0, n_validations=3)
    assert COST.seconds(n_steps=n_steps, n_validations=3, n_checkpoints=3) <= 20.0
    assert COST.seconds(n_steps=n_steps + 1, n_validations=3, n_checkpoints=3) > 20.0
    assert COST.steps_within(1.0, n_validations=3) == 1


def test_validations_take_a_quarter_of_the_time_at_most() -> None:
    assert COST.validations_within(1000.0, at_most=10) == 10
    assert COST.validations_within(36.0, at_most=10) == 4  # 2.25 s each
    assert COST.validations_within(1.0, at_most=10) == 1


def test_each_part_of_a_training_is_measured_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's own time is small beside the sleeps, each of which marks one part."""
    batches = make_batches()
    training, validation = batches.training_batch, batches.validation_batches

    def slow_validation():
        time.sleep(0.1)
        return validation()

    def slow_training(step: int):
        time.sleep(0.02)
        return training(step)

    monkeypatch.setattr(batches, "training_batch", slow_training)
    monkeypatch.setattr(batches, "validation_batches", slow_validation)
    config = TrainingConfig.model_validate_json(json.dumps(CONFIG))
    cost = measure_cost(make_model(), batches, config, n_steps=12, seed=1)
    assert cost.step_seconds >= 0.015  # a batch is prepared while the step before is computed
    assert cost.validation_seconds > 0.08
    assert cost.start_seconds > 0.02  # checksums of the batches


@pytest.mark.skipif(not PEAK_RESET.exists(), reason="only Linux has a peak of memory that can be reset")
def test_memory_is_what_the_block_adds_even_if_it_is_freed_again() -> None:
    size = 64 * 2**20
    kept = np.ones(size, dtype=np.uint8)
    with added_memory() as added:
        assert (added() or 0) < size / 4
        np.ones(size, dtype=np.uint8)
        assert size * 0.9 < (added() or 0) < size * 1.5
    assert len(kept) == size
