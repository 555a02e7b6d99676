"""The loss is that of the paper; rollouts are reproducible, also after an interruption; rewards rise."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from lmcore.config.grpo import FormatReward, GRPOTrainingConfig
from lmcore.finetuning.grpo.objective import (
    Answers,
    GroupRelativeObjective,
    advantages_of,
    group_relative_losses,
    reference_of,
)
from lmcore.finetuning.grpo.prompts import PromptBatches, verifiable_prompts
from lmcore.finetuning.grpo.rewards import combined_reward
from lmcore.finetuning.grpo.rollouts import Sampler
from lmcore.models.generative import GenerativeModel
from lmcore.tokens.batches.batches import IGNORED
from lmcore.training.loop import train
from lmcore.training.record import TrainingRecord
from tests.lmcore.finetuning.conversations import END, TEMPLATE, TOKENIZER, conversation, small_model, training

PROMPTS = verifiable_prompts(
    [conversation(f"What is {number}?", f"{number}") for number in range(1, 8)], TEMPLATE, max_prompt_tokens=40
)
HAS_A_DIGIT = FormatReward(kind="format", weight=1.0, pattern=r".*\d.*")


def config(n_steps: int = 6, **changes: Any) -> GRPOTrainingConfig:
    values = {"init_from": "chat", "rewards": (HAS_A_DIGIT,), "num_generations": 4, "num_iterations": 2}
    values |= {"temperature": 1.0, "max_prompt_tokens": 40, "max_new_tokens": 3, "beta": 0.05, "epsilon": 0.2}
    values |= {"max_train_samples": 9, "lora": None, "frozen_layers": None, "training": training(n_steps, batch_size=2)}
    return GRPOTrainingConfig(**(values | changes))


def sampler(settings: GRPOTrainingConfig) -> Sampler:
    reward = combined_reward(settings.rewards)
    return Sampler(TOKENIZER, TEMPLATE, reward, max_new_tokens=settings.max_new_tokens, temperature=1.0)


def run(
    settings: GRPOTrainingConfig, checkpoints: Path | None = None, stop_at: int | None = None, family: str = "gpt"
) -> tuple[dict[str, torch.Tensor], TrainingRecord]:
    model = small_model(family)
    batches = PromptBatches(
        PROMPTS[:4],
        PROMPTS[4:],
        batch_size=settings.training.batch_size,
        num_iterations=settings.num_iterations,
        seed=1,
        padding=1,
    )

    def listen(step: int, metrics: Any) -> None:
        if step == stop_at:
            raise KeyboardInterrupt

    objective = GroupRelativeObjective(model, settings, sampler(settings), batches.prompts, reference_of(model))
    record = train(
        objective, batches, settings.training, seed=1, checkpoints=checkpoints, on_metrics=listen, description="x"
    )
    return model.state_dict(), record


@pytest.mark.parametrize("family", ["gpt", "encoder_decoder"])
def test_two_trainings_are_equal_bit_for_bit_and_so_is_one_interrupted_between_updates_on_the_same_answers(
    family: str, tmp_path: Path
) -> None:
    weights, record = run(config(), family=family)
    again, same_record = run(config(), family=family)
    with pytest.raises(KeyboardInterrupt):
        run(config(), tmp_path / "checkpoints", stop_at=3, family=family)  # 3 is odd: answers are used twice
    resumed, resumed_record = run(config(), tmp_path / "checkpoints", family=family)
    assert record.history == same_record.history == resumed_record.history
    assert all(torch.equal(tensor, again[name]) for name, tensor in weights.items())
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in weights.items())


def test_answers_depend_on_the_seed_and_the_prompt_alone() -> None:
    model = small_model()
    assert isinstance(model, GenerativeModel)
    found = sampler(config())
    together = found.sample(model, PROMPTS[:3], 4, seed=5)
    alone = found.sample(model, PROMPTS[1:2], 4, seed=5)
    assert [rollout.tokens for rollout in together[4:8]] == [rollout.tokens for rollout in alone]
    assert len({tuple(rollout.tokens) for rollout in together}) > 6
    assert [r.tokens for r in found.sample(model, PROMPTS[:3], 4, seed=6)] != [r.tokens for r in together]
    for rollout in together:
        assert rollout.is_finished == (rollout.tokens[-1] == END)
        assert len(rollout.tokens) <= 3 + rollout.is_finished


def test_rewards_rise() -> None:
    settings = config(60, num_generations=8, training=training(60, 3e-3, batch_size=4, eval_steps=30, save_steps=100))
    _, record = run(settings)
    rewards = [entry["reward"] for entry in record.history if "reward" in entry]
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.3
    assert record.history[-1]["validation_reward"] == 1.0


def test_the_loss_is_that_of_the_paper() -> None:
    torch.manual_seed(1)
    targets = torch.tensor([[IGNORED, 5, 6, IGNORED], [IGNORED, 7, IGNORED, IGNORED]])
    new, old, reference = (-torch.rand(3, 2, 4) * 3).where(targets != IGNORED, 0.0)
    advantages = torch.tensor([0.7, -1.2])
    answers = Answers(torch.zeros(2, 4, dtype=torch.int64), targets, advantages, old, reference, torch.zeros(4))
    losses, measured = group_relative_losses(new, answers, beta=0.1, epsilon=0.2)
    divergences = []
    for row, positions in enumerate(([1, 2], [1])):
        terms = []
        for position in positions:
            ratio = math.exp(new[row, position] - old[row, position])
            gain = min(ratio * advantages[row].item(), min(max(ratio, 0.8), 1.2) * advantages[row].item())
            distance = (reference[row, position] - new[row, position]).item()
            divergences.append(math.exp(distance) - distance - 1)
            terms.append(gain - 0.1 * divergences[-1])
        assert losses[row].item() == pytest.approx(-sum(terms) / len(terms), abs=1e-6)
    assert measured["kl"] == pytest.approx(sum(divergences) / 3, abs=1e-6)


def test_advantages_compare_the_answers_to_a_prompt() -> None:
    found = advantages_of(torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0]), 4)
    expected = 0.5 / (torch.tensor([1.0, 0.0, 1.0, 0.0]).std().item() + 1e-4)
    assert found.tolist() == pytest.approx([expected, -expected, expected, -expected, 0, 0, 0, 0])


def test_prompts_repeat_for_every_update_and_long_ones_are_left_out() -> None:
    batches = PromptBatches(PROMPTS[:4], PROMPTS[4:], batch_size=2, num_iterations=2, seed=1, padding=1)
    steps = [batches.training_batch(step) for step in range(4)]
    assert [batch.continues for batch in steps] == [False, True, False, True]
    assert torch.equal(steps[0].targets, steps[1].targets)
    assert sorted(torch.cat([steps[0].targets, steps[2].targets]).tolist()) == [0, 1, 2, 3]
    assert [batch.targets.tolist() for batch in batches.validation_batches()] == [[4, 5], [6]]
    assert verifiable_prompts([conversation("What is 1?", "1")], TEMPLATE, max_prompt_tokens=3) == []


def test_several_batches_per_step_are_refused() -> None:
    with pytest.raises(ValueError, match="gradient_accumulation_steps = 2"):
        config(
            training=training(2, gradient_accumulation_steps=2),
        )
