"""The number of steps of a training, and the learning rate of each step."""

import math
from bisect import bisect_right

from lmcore.config.training import ScheduleConfig, TrainingConfig
from lmcore.tokens.batches.batches import Batches


def count_steps(config: TrainingConfig, batches: Batches) -> int:
    """Steps until ``max_steps`` or ``num_train_epochs`` is reached, whichever comes first; at least one."""
    per_epoch = batches.batches_per_epoch / config.gradient_accumulation_steps
    return max(1, min(config.max_steps, math.ceil(config.num_train_epochs * per_epoch)))


def learning_rate_factor(config: ScheduleConfig, step: int, n_steps: int) -> float:
    """The fraction of the peak learning rate at ``step`` (0 to ``n_steps`` - 1): warm-up, plateau, decay, and again
    after each restart.

    Neither the first nor the last step has a factor of zero: the warm-up starts above zero, and the decay would reach
    ``min_lr_ratio`` one step after the last.
    """
    start, end = _period(config, step, n_steps)
    step, n_steps = step - start, end - start
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    n_decay_steps = _count_decay_steps(config, n_steps)
    decayed = (step - (n_steps - n_decay_steps) + 1) / (n_decay_steps + 1)
    if decayed <= 0.0:
        return 1.0
    remaining = 1.0 - decayed if config.decay_type == "linear" else (1.0 + math.cos(math.pi * decayed)) / 2
    return config.min_lr_ratio + (1.0 - config.min_lr_ratio) * remaining


def first_decay_step(config: ScheduleConfig, n_steps: int) -> int:
    """The first step whose learning rate depends on the number of steps; ``n_steps`` if there is none."""
    start, end = _period(config, n_steps - 1, n_steps)
    return end - max(_count_decay_steps(config, end - start), 0)


def _count_decay_steps(config: ScheduleConfig, n_steps: int) -> int:
    return min(round(config.decay_ratio * n_steps), n_steps - config.warmup_steps)


def _period(config: ScheduleConfig, step: int, n_steps: int) -> tuple[int, int]:
    """The first step of the period between two restarts that ``step`` is in, and the first one after it."""
    starts = [0, *(restart for restart in config.restart_steps if restart < n_steps), n_steps]
    index = bisect_right(starts, step)
    return starts[index - 1], starts[index]
