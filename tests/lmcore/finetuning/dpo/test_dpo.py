"""The loss is that of the paper, and a training learns the preferences and resumes exactly."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lmcore.config.dpo import DPOTrainingConfig
from lmcore.finetuning.dpo.objective import DirectPreferenceObjective, preference_losses
from lmcore.finetuning.dpo.pairs import (
    PreferenceBatches,
    encode_pairs,
    pair_log_probabilities,
    preference_batch,
)
from lmcore.tokens.batches.batches import IGNORED
from lmcore.training.loop import train
from lmcore.training.record import TrainingRecord
from tests.lmcore.finetuning.conversations import END, TEMPLATE, TOKENIZER, conversation, small_model, training

EXAMPLES = [
    conversation(f"What is {number}?", f"It is {number}.", identity=str(number), rejected="Hello you!")
    for number in range(1, 7)
]
PAIRS = encode_pairs(EXAMPLES, TEMPLATE, max_tokens=60, reads_source=False).pairs


def config(**changes: Any) -> DPOTrainingConfig:
    values = {"init_from": "chat", "max_tokens": 60, "max_train_samples": 9, "beta": 0.3, "label_smoothing": 0.0}
    return DPOTrainingConfig(
        **(values | {"sft_weight": 0.0, "lora": None, "frozen_layers": None, "training": training(6)} | changes)
    )


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("sft_weight", [0.0, 0.5])
def test_the_loss_is_that_of_the_paper(label_smoothing: float, sft_weight: float) -> None:
    settings = config(label_smoothing=label_smoothing, sft_weight=sft_weight)
    policy, base = small_model().double(), small_model("gpt2").double()
    references = pair_log_probabilities(base, PAIRS, batch_size=4).double()
    batch = preference_batch(PAIRS, references, padding=1)
    objective = DirectPreferenceObjective(policy, settings)
    found = objective.loss(batch.tokens, batch.targets, references=batch.references).item() / batch.n_targets
    # By hand, a pair at a time, with the probability of every token.
    expected = []
    for (chosen, rejected), (chosen_reference, rejected_reference) in zip(PAIRS, references.tolist(), strict=True):
        sums = []
        for tokens, targets in (chosen, rejected):
            assert not isinstance(targets, int)
            probabilities = policy(torch.tensor([tokens]))[0].double().softmax(-1)
            sums.append(sum(math.log(probabilities[i, t].item()) for i, t in enumerate(targets) if t != IGNORED))
        margin = settings.beta * ((sums[0] - chosen_reference) - (sums[1] - rejected_reference))
        sigmoid = 1 / (1 + math.exp(-margin))
        loss = -(1 - label_smoothing) * math.log(sigmoid) - label_smoothing * math.log(1 - sigmoid)
        n_tokens = sum(target != IGNORED for target in chosen[1])  # type: ignore[union-attr]
        expected.append(loss - sft_weight * sums[0] / n_tokens)
    assert found == pytest.approx(np.mean(expected), abs=1e-6)


def test_before_the_first_step_policy_and_reference_agree() -> None:
    model = small_model()
    batch = preference_batch(PAIRS, pair_log_probabilities(model, PAIRS, batch_size=6), padding=1)
    objective = DirectPreferenceObjective(model, config())
    assert objective.loss(batch.tokens, batch.targets, references=batch.references).item() == pytest.approx(
        batch.n_targets * math.log(2)
    )
    assert objective.measured()["margin"] == 0.0
    assert preference_losses(torch.zeros(1), 0.3).item() == pytest.approx(math.log(2))


def test_pairs_differ_in_the_last_answer_alone_and_long_ones_are_not_used() -> None:
    ((chosen, rejected), *_) = PAIRS
    n_prompt = len(TEMPLATE.prompt(EXAMPLES[0].prompt))
    assert chosen[0][:n_prompt] == rejected[0][:n_prompt]
    assert [target for target in rejected[1] if target != IGNORED] == [*TOKENIZER.encode("Hello you!"), END]  # type: ignore[union-attr]
    found = encode_pairs([*EXAMPLES, conversation("?", "x")], TEMPLATE, max_tokens=5, reads_source=False)
    assert (found.pairs, found.n_too_long) == ([], len(EXAMPLES))


def run(checkpoints: Path | None, stop_at: int | None = None) -> tuple[dict[str, torch.Tensor], TrainingRecord]:
    model = small_model()
    references = pair_log_probabilities(model, PAIRS, batch_size=2)
    batches = PreferenceBatches(PAIRS[:4], PAIRS[4:], references[:4], references[4:], batch_size=2, seed=1, padding=1)

    def listen(step: int, metrics: Any) -> None:
        if step == stop_at:
            raise KeyboardInterrupt

    objective = DirectPreferenceObjective(model, config())
    record = train(
        objective, batches, config().training, seed=1, checkpoints=checkpoints, on_metrics=listen, description="x"
    )
    return model.state_dict(), record


def test_preferences_are_learned_and_an_interrupted_training_ends_the_same(tmp_path: Path) -> None:
    weights, record = run(None)
    last = record.history[-1]
    assert last["validation_accuracy"] == 1.0
    assert last["validation_margin"] > 0.1
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "checkpoints", stop_at=3)
    resumed, again = run(tmp_path / "checkpoints")
    assert again.history == record.history
    assert all(torch.equal(resumed[name], tensor) for name, tensor in weights.items())
