"""Verifiable rewards: each scores an answer against the expected one."""

from collections.abc import Callable, Sequence
from functools import partial

from lmcore.config.grpo import ArithmeticReward, ExactMatchReward, FormatReward, RewardConfig
from lmcore.finetuning.grpo.rewards.arithmetic import equal_quantity
from lmcore.finetuning.grpo.rewards.exact_match import exact_match
from lmcore.finetuning.grpo.rewards.format import matches_format

Reward = Callable[[str, str], float]
"""Maps an answer and the expected answer to a number from 0 to 1."""

__all__ = ["Reward", "combined_reward", "reward_of"]


def reward_of(config: RewardConfig) -> Reward:
    """The reward that a section of the settings describes."""
    match config:
        case ExactMatchReward():
            return exact_match
        case ArithmeticReward():
            return equal_quantity
        case FormatReward():
            return partial(matches_format, pattern=config.pattern)


def combined_reward(configs: Sequence[RewardConfig]) -> Reward:
    """The weighted mean of several rewards."""
    rewards = [(config.weight, reward_of(config)) for config in configs]
    total = sum(weight for weight, _ in rewards)
    return lambda answer, expected: sum(weight * reward(answer, expected) for weight, reward in rewards) / total
