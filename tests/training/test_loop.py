"""The training loop learns, keeps what was best, and never lets a number that is none into the weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lmcore.models.gpt import GPT
from lmcore.training.config import TrainingConfig
from lmcore.training.loop import count_steps, train
from tests.models.test_gpt import make_model
from tests.training.trainer import CONFIG, make_batches


def run(folder: Path, model: GPT, **changes: Any) -> tuple[dict[str, Any], list[tuple[int, Mapping[str, float]]]]:
    figures: list[tuple[int, Mapping[str, float]]] = []
    config = TrainingConfig.model_validate_json(json.dumps(CONFIG | changes))
    record = train(
        model,
        make_batches(),
        config,
        seed=1,
        checkpoints=folder,
        on_metrics=lambda step, values: figures.append((step, dict(values))),
        description="Train",
    )
    return record, figures


def mean_loss(model: GPT) -> float:
    (batch,) = make_batches().validation_batches()
    return model.loss(batch.tokens, batch.targets).item() / batch.n_targets


def test_it_learns_and_ends_with_the_best_weights(tmp_path: Path) -> None:
    model = make_model()
    before = mean_loss(model)
    record, figures = run(tmp_path, model, precision="float32")
    assert record["best_validation_loss"] < before / 2
    assert mean_loss(model) == pytest.approx(record["best_validation_loss"], rel=1e-5)
    validations = [values["validation_loss"] for _, values in figures if "validation_loss" in values]
    assert min(validations) == record["best_validation_loss"]


def test_overfitting_does_not_spoil_the_result(tmp_path: Path) -> None:
    """At a learning rate that wrecks the model, the weights of the best validation are kept."""
    model = make_model()
    optimizer = {"name": "adamw", "learning_rate": 3.0, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.0}
    record, figures = run(tmp_path, model, optimizer=optimizer, precision="float32")
    last = [values["validation_loss"] for _, values in figures if "validation_loss" in values][-1]
    assert mean_loss(model) == pytest.approx(record["best_validation_loss"], rel=1e-5)
    assert record["best_validation_loss"] <= last


@pytest.mark.parametrize(("max_steps", "max_epochs", "expected"), [(40, 100.0, 40), (1000, 2.0, 83), (5, 0.001, 1)])
def test_it_ends_at_whichever_comes_first(max_steps: int, max_epochs: float, expected: int) -> None:
    changes = {"max_steps": max_steps, "max_epochs": max_epochs}
    assert count_steps(TrainingConfig.model_validate_json(json.dumps(CONFIG | changes)), make_batches()) == expected


class Poisoned(GPT):
    """A model whose loss is not a number at some calls."""

    def poison(self, calls: set[int]) -> None:
        self.calls, self.n_calls = calls, 0

    def loss(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        loss = super().loss(tokens, targets, label_smoothing=label_smoothing)
        if self.training:
            self.n_calls += 1
            if self.n_calls in self.calls:
                return loss * float("nan")
        return loss


def make_poisoned(calls: set[int]) -> Poisoned:
    model = make_model()
    model.__class__ = Poisoned
    assert isinstance(model, Poisoned)
    model.poison(calls)
    return model


def test_a_loss_that_is_no_number_is_skipped_and_counted(tmp_path: Path) -> None:
    model = make_poisoned({4, 9})
    record, _ = run(tmp_path, model)
    assert record["n_skipped_steps"] == 2
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_too_many_in_a_row_end_the_training_with_the_checkpoint_kept(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"3 steps in a row.*lower the learning rate"):
        run(tmp_path, make_poisoned({10, 11, 12}))
    assert (tmp_path / "step-00000009").exists()


def test_a_resumed_training_reports_its_whole_history_again(tmp_path: Path) -> None:
    _, first = run(tmp_path, make_model())
    _, again = run(tmp_path, make_model())
    timeless = [(step, {k: v for k, v in values.items() if k != "tokens_per_second"}) for step, values in first]
    assert again == timeless


def test_bfloat16_is_computed_in_when_asked_for(tmp_path: Path) -> None:
    model = make_model()
    record, _ = run(tmp_path, model, precision="bfloat16", max_steps=2)
    assert record["precision"] == "bfloat16"
    assert model.embedding.weight.dtype == torch.float32
