"""The training loop learns, keeps the best weights, and skips steps with a non-finite or spiking loss."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lmcore.config.training import TrainingConfig
from lmcore.models.gpt.model import GPT
from lmcore.models.lora import add_lora
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.batches.batches import Batch, Batches, WindowBatches
from lmcore.training.ema import AveragedWeights
from lmcore.training.identity import SAMPLED_BATCHES
from lmcore.training.loop import train
from lmcore.training.record import TrainingRecord
from lmcore.training.schedule import count_steps
from tests.lmcore.models.gpt.test_gpt import make_model
from tests.lmcore.training.trainer import BATCHES, CONFIG, make_batches


def run(
    folder: Path, model: TrainableModel, batches: Batches | None = None, **changes: Any
) -> tuple[TrainingRecord, list[tuple[int, Mapping[str, float]]]]:
    metrics: list[tuple[int, Mapping[str, float]]] = []
    config = TrainingConfig.model_validate_json(json.dumps(CONFIG | changes))
    record = train(
        model,
        batches or make_batches(),
        config,
        seed=1,
        checkpoints=folder,
        on_metrics=lambda step, values: metrics.append((step, dict(values))),
        description="Train",
    )
    return record, metrics


def mean_loss(model: GPT) -> float:
    (batch,) = make_batches().validation_batches()
    return model.loss(batch.tokens, batch.targets).item() / batch.n_targets


def test_it_learns_and_ends_with_the_best_weights(tmp_path: Path) -> None:
    model = make_model()
    before = mean_loss(model)
    record, metrics = run(tmp_path, model, precision="float32")
    assert record.best_validation_loss < before / 2
    assert mean_loss(model) == pytest.approx(record.best_validation_loss, rel=1e-5)
    validations = [values["validation_loss"] for _, values in metrics if "validation_loss" in values]
    assert min(validations) == record.best_validation_loss


def test_overfitting_does_not_spoil_the_result(tmp_path: Path) -> None:
    """At a learning rate that wrecks the model, the weights of the best validation are kept."""
    model = make_model()
    optimizer = {"name": "adamw", "learning_rate": 3.0, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.0}
    record, metrics = run(tmp_path, model, optimizer=optimizer, precision="float32")
    last = [values["validation_loss"] for _, values in metrics if "validation_loss" in values][-1]
    assert mean_loss(model) == pytest.approx(record.best_validation_loss, rel=1e-5)
    assert record.best_validation_loss <= last


@pytest.mark.parametrize(
    ("max_steps", "num_train_epochs", "expected"), [(40, 100.0, 40), (1000, 2.0, 83), (5, 0.001, 1)]
)
def test_it_ends_at_whichever_comes_first(max_steps: int, num_train_epochs: float, expected: int) -> None:
    changes = {"max_steps": max_steps, "num_train_epochs": num_train_epochs}
    assert count_steps(TrainingConfig.model_validate_json(json.dumps(CONFIG | changes)), make_batches()) == expected


class Poisoned(GPT):
    """A model whose loss is multiplied at some calls."""

    def poison(self, calls: set[int], factor: float) -> None:
        self.calls, self.factor, self.n_calls = calls, factor, 0

    def loss(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        loss = super().loss(tokens, targets, label_smoothing=label_smoothing)
        if self.training:
            self.n_calls += 1
            if self.n_calls in self.calls:
                return loss * self.factor
        return loss


class Noting(WindowBatches):
    """Batches that record which steps they gave batches for, except those sampled for the identity of the training."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.n_asked = 0
        super().__init__(**BATCHES)

    def training_batch(self, step: int) -> Batch:
        self.n_asked += 1
        if self.n_asked > SAMPLED_BATCHES:
            self.steps.append(step)
        return super().training_batch(step)


def make_poisoned(calls: set[int], factor: float = math.nan) -> Poisoned:
    model = make_model()
    model.__class__ = Poisoned
    assert isinstance(model, Poisoned)
    model.poison(calls, factor)
    return model


def test_a_loss_that_is_not_finite_is_skipped_and_counted(tmp_path: Path) -> None:
    model = make_poisoned({4, 9})
    record, _ = run(tmp_path, model)
    assert record.n_skipped_steps == 2
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_too_many_skipped_steps_roll_back_to_the_checkpoint_and_skip_their_data(tmp_path: Path) -> None:
    batches = Noting()
    record, _ = run(tmp_path, make_poisoned({11, 12, 13}), batches)
    assert record.n_rollbacks == 1
    assert record.n_skipped_steps == 3
    # Steps 11 to 13 were skipped, so the data of batches 10 to 12 is; after the rollback to step 9 it continues at 13.
    assert batches.steps[:16] == [*range(13), 13, 14, 15]
    assert record.n_steps == 40
    assert batches.steps[-1] == 39 + 4


def test_rolling_back_in_vain_ends_the_training_with_the_checkpoint_kept(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"3 steps .* skipped, after 1 rollbacks.*lower the learning"):
        run(tmp_path, make_poisoned(set(range(11, 100))))
    assert (tmp_path / "step-00000009").exists()


def test_a_checkpoint_with_ruined_weights_is_not_rolled_back_to_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The step before the checkpoint at step 9 leaves weights whose every loss is NaN; a second rollback takes the
    checkpoint before it."""
    model = make_model()
    model.__class__ = Ruined
    changes = {"stability": CONFIG["stability"] | {"max_rollbacks": 2}}
    record, _ = run(tmp_path, model, **changes)
    assert [line for line in caplog.messages if line.startswith("rolled back to")] == [
        "rolled back to the checkpoint at step 9; the data of 3 steps is skipped",
        "rolled back to the checkpoint at step 6; the data of 6 steps is skipped",
    ]
    assert record.n_steps == 40
    assert all(parameter.isfinite().all() for parameter in model.parameters())


class Ruined(GPT):
    """A model whose ninth loss ruins its weights, unnoticed until the next one."""

    n_calls = 0

    def loss(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        loss = super().loss(tokens, targets, label_smoothing=label_smoothing)
        if self.training:
            self.n_calls += 1
            if self.n_calls == 9:
                with torch.no_grad():
                    self.embedding.weight.fill_(math.nan)
                loss = loss.detach() + sum(
                    parameter.sum() * 0 for name, parameter in self.named_parameters() if "emb" not in name
                )
        return loss


class Unvalidated(GPT):
    """A model whose validation losses are NaN at some calls."""

    spoiled: frozenset[int] = frozenset()
    n_calls = 0

    def loss(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        loss = super().loss(tokens, targets, label_smoothing=label_smoothing)
        if not self.training:
            self.n_calls += 1
        return loss * math.nan if not self.training and self.n_calls in self.spoiled else loss


@pytest.mark.parametrize("spoiled", [{2}, {5, 6}, {1, 2, 3, 4, 5}])
def test_a_validation_without_a_finite_loss_is_reported_and_skipped(
    tmp_path: Path, spoiled: set[int], caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model()
    model.__class__ = Unvalidated
    model.spoiled = frozenset(spoiled)
    record, metrics = run(tmp_path, model)
    assert caplog.text.count("the validation loss is nan; this validation is ignored") == len(spoiled)
    validations = [values["validation_loss"] for _, values in metrics if "validation_loss" in values]
    assert len(validations) == 6 - len(spoiled)
    assert record.best_validation_loss == min(validations)
    json.dumps(record.to_json(), allow_nan=False)


def test_without_any_finite_validation_loss_the_training_fails(tmp_path: Path) -> None:
    model = make_model()
    model.__class__ = Unvalidated
    model.spoiled = frozenset(range(100))
    for _ in range(2):
        with pytest.raises(FloatingPointError, match=r"no validation gave a finite loss.*lower the learning rate"):
            run(tmp_path, model)


def test_a_spiking_loss_is_skipped(tmp_path: Path) -> None:
    model = make_poisoned({20}, factor=300.0)
    record, metrics = run(tmp_path, model, precision="float32")
    assert record.n_skipped_steps == 1
    assert max(values["loss"] for _, values in metrics if "loss" in values) < 2 * metrics[0][1]["loss"]


def test_two_batches_accumulated_are_one_of_twice_the_size(tmp_path: Path) -> None:
    """Seen in losses and gradients: an adaptive optimizer makes whole steps of the rounding in gradients near zero."""
    settings = {"precision": "float32", "max_steps": 3, "logging_steps": 1}
    _, whole = run(tmp_path / "whole", make_model(), make_batches(batch_size=8), **settings)
    _, halves = run(
        tmp_path / "halves", make_model(), make_batches(batch_size=4), gradient_accumulation_steps=2, **settings
    )
    for name in ("loss", "gradient_norm"):
        expected = [values[name] for _, values in whole if name in values]
        assert len(expected) == 3
        assert [values[name] for _, values in halves if name in values] == pytest.approx(expected, rel=1e-3)


def test_the_averaged_weights_are_kept(tmp_path: Path) -> None:
    plain, averaged = make_model(), make_model()
    run(tmp_path / "plain", plain, max_steps=7)
    record, _ = run(tmp_path / "averaged", averaged, max_steps=7, ema_decay=0.9)
    assert any((plain.state_dict()[name] != weight).any() for name, weight in averaged.state_dict().items())
    assert mean_loss(averaged) == pytest.approx(record.best_validation_loss, rel=1e-2)


def test_averaged_weights_follow_their_formula() -> None:
    model = torch.nn.Linear(2, 2, bias=False)
    average = AveragedWeights(model, decay=0.5)
    expected = model.weight.detach().clone()
    for step in range(1, 30):
        torch.nn.init.normal_(model.weight)
        average.update(step)
        decay = min(0.5, step / (step + 10))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(average.state()["weight"], expected)
    own = model.weight.detach().clone()
    with average.swapped_in():
        torch.testing.assert_close(model.weight.detach(), expected)
    assert torch.equal(model.weight, own)


def test_adapters_learn_while_the_base_weights_stay_as_they_are(tmp_path: Path) -> None:
    model, before = make_model(), make_model().state_dict()
    add_lora(model, rank=4, alpha=8.0, dropout=0.0, generator=torch.Generator().manual_seed(1))
    start = mean_loss(model)
    record, _ = run(tmp_path, model, precision="float32")
    assert record.best_validation_loss < start
    kept = {name.replace(".base", ""): weight for name, weight in model.state_dict().items() if "base" in name}
    assert kept
    assert all(torch.equal(weight, before[name]) for name, weight in kept.items())


def test_a_training_without_improvement_ends_early(tmp_path: Path) -> None:
    optimizer = {"name": "adamw", "learning_rate": 3.0, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.0}
    changes = {"optimizer": optimizer, "early_stopping_patience": 2, "max_steps": 400, "eval_steps": 2}
    record, metrics = run(tmp_path, make_model(), **changes)
    validations = [values["validation_loss"] for _, values in metrics if "validation_loss" in values]
    assert record.n_steps < 400
    assert min(validations) not in validations[-2:]
    again, _ = run(tmp_path, make_model(), **changes)
    assert again == record


def test_a_resumed_training_reports_its_whole_history_again(tmp_path: Path) -> None:
    _, first = run(tmp_path, make_model())
    _, again = run(tmp_path, make_model())
    timeless = [
        [(step, {k: v for k, v in values.items() if k != "tokens_per_second"}) for step, values in metrics]
        for metrics in (first, again)
    ]
    assert timeless[0] == timeless[1]


def test_activations_are_bfloat16_when_configured(tmp_path: Path) -> None:
    model = make_model()
    record, _ = run(tmp_path, model, precision="bfloat16", max_steps=2)
    assert record.precision == "bfloat16"
    assert model.embedding.weight.dtype == torch.float32


def test_the_record_counts_the_batches_of_accumulated_and_skipped_steps(tmp_path: Path) -> None:
    record, _ = run(tmp_path / "accumulated", make_model(), max_steps=3, gradient_accumulation_steps=2)
    assert record.n_batches == 6
    batches = Noting()
    record, _ = run(tmp_path / "rolled-back", make_poisoned({11, 12, 13}), batches)
    assert record.n_batches == max(batches.steps) + 1
