import pytest

from lmcore.config.grpo import ArithmeticReward, ExactMatchReward, FormatReward
from lmcore.finetuning.grpo.rewards import combined_reward, reward_of
from lmcore.finetuning.grpo.rewards.arithmetic import equal_quantity
from lmcore.finetuning.grpo.rewards.exact_match import exact_match
from lmcore.finetuning.grpo.rewards.format import matches_format


@pytest.mark.parametrize(
    ("answer", "expected", "reward"),
    [
        ("42", "42", 1.0),
        ("It is 6 times 7 = 42.", "42", 1.0),
        ("42.0", "42", 1.0),
        ("1,500 m", "1.5 km", 1.0),
        ("90 min", "1.5 h", 1.0),
        ("-7", "\u22127", 1.0),
        ("42", "42 m", 0.0),
        ("42 kg", "42 m", 0.0),
        ("42 apples", "42 apples", 1.0),
        ("42 apples", "42 pears", 0.0),
        ("41, no, 43", "42", 0.0),
        ("none", "none", 0.0),
        ("", "1", 0.0),
    ],
)
def test_quantities_are_compared_with_their_units(answer: str, expected: str, reward: float) -> None:
    assert equal_quantity(answer, expected) == reward


def test_texts_and_forms() -> None:
    assert exact_match(" The  answer", "the answer") == 1.0
    assert exact_match("the answer.", "the answer") == 0.0
    assert matches_format("12 m\n", "", pattern=r"\d+ m") == 1.0
    assert matches_format("about 12 m", "", pattern=r"\d+ m") == 0.0


def test_rewards_are_weighted() -> None:
    configs = (
        ExactMatchReward(kind="exact_match", weight=1.0),
        ArithmeticReward(kind="arithmetic", weight=2.0),
        FormatReward(kind="format", weight=1.0, pattern=r"\d+ m"),
    )
    assert combined_reward(configs)("12.0 m", "12 m") == 0.5
    assert [reward_of(config)("12 m", "12 m") for config in configs] == [1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="is not a regular expression"):
        FormatReward(kind="format", weight=1.0, pattern="(")
