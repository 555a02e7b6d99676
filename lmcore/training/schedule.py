"""How many steps a training makes, and the learning rate as a function of the step."""

import math

from lmcore.config.training import ScheduleConfig, TrainingConfig
from lmcore.tokens.batches.batches import Batches


def count_steps(config: TrainingConfig, batches: Batches) -> int:
    """Steps until ``max_steps`` or ``num_train_epochs`` is reached, whichever comes first; at least one."""
    per_epoch = batches.batches_per_epoch / config.gradient_accumulation_steps
    return max(1, min(config.max_steps, math.ceil(config.num_train_epochs * per_epoch)))


def learning_rate_factor(config: ScheduleConfig, step: int, n_steps: int) -> float:
    """Share of the peak learning rate at ``step`` (0 to ``n_steps`` - 1): up, level, down.

    The first step already moves the weights, and so does the last unless ``min_lr_ratio`` is zero and its share of
    the decay is complete only after it.
    """
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    n_decay_steps = min(round(config.decay_ratio * n_steps), n_steps - config.warmup_steps)
    done = (step - (n_steps - n_decay_steps) + 1) / (n_decay_steps + 1)
    if done <= 0.0:
        return 1.0
    left = 1.0 - done if config.decay_type == "linear" else (1.0 + math.cos(math.pi * done)) / 2
    return config.min_lr_ratio + (1.0 - config.min_lr_ratio) * left
