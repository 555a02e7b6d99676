"""A training that continues an earlier one ends, bit for bit, as if it had been planned so."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from lmcore.config.training import TrainingConfig
from lmcore.models.trainable import TrainableModel
from lmcore.training.loop import train
from tests.lmcore.training.trainer import BATCHES, CHANGES, CONFIG, MAKERS, STREAM, batches_for, make_batches

SCHEDULE: dict[str, Any] = dict(CONFIG["schedule"])  # type: ignore[call-overload]
RESTART = {"schedule": SCHEDULE | {"restart_steps": [20]}}
CONSTANT = {"schedule": SCHEDULE | {"decay_ratio": 0.0}}
COSINE = {"schedule": SCHEDULE | {"decay_type": "cosine", "restart_steps": [20]}}


class Run:
    """A training in a folder: its result, and where it was continued from."""

    def __init__(self, folder: Path, family: str = "gpt") -> None:
        self.folder, self.family = folder, family
        self.continued: list[int] = []
        self.metrics: list[tuple[int, Mapping[str, float]]] = []

    def train(
        self,
        max_steps: int,
        *,
        earlier: "Run | None" = None,
        seed: int = 1,
        killed_at: int | None = None,
        **changes: Any,
    ) -> "Run":
        torch.manual_seed(1)
        self.model = MAKERS[self.family]()
        assert isinstance(self.model, TrainableModel)
        with torch.no_grad():
            next(self.model.parameters()).flatten()[0] += changes.pop("added_to_a_weight", 0.0)
        batches = changes.pop("batches", None) or batches_for(self.model)
        settings = CONFIG | CHANGES.get(self.family, {}) | {"max_steps": max_steps} | changes
        self.metrics = []

        def note(step: int, metrics: Mapping[str, float]) -> None:
            self.metrics.append((step, {key: value for key, value in metrics.items() if key != "tokens_per_second"}))
            if killed_at is not None and step >= killed_at:
                raise KeyboardInterrupt

        self.record = train(
            self.model,
            batches,
            TrainingConfig.model_validate_json(json.dumps(settings)),
            seed=seed,
            checkpoints=self.folder,
            earlier=[earlier.folder] if earlier else (),
            on_metrics=note,
            on_continued=lambda _folder, step: self.continued.append(step),
            description="Train",
        )
        return self

    def assert_equals(self, other: "Run") -> None:
        assert self.record == other.record
        assert self.metrics == other.metrics
        weights = other.model.state_dict()
        assert all(torch.equal(weight, weights[name]) for name, weight in self.model.state_dict().items())


@pytest.mark.parametrize("family", ["gpt with dropout", "lstm", "bert"])
def test_with_a_restart_of_the_schedule_it_continues_from_the_end(family: str, tmp_path: Path) -> None:
    planned = Run(tmp_path / "planned", family).train(40, **RESTART)
    first = Run(tmp_path / "first", family).train(20)
    longer = Run(tmp_path / "longer", family).train(40, earlier=first, **RESTART)
    assert longer.continued == [20]
    longer.assert_equals(planned)


@pytest.mark.parametrize(
    ("before", "after", "step"),
    [
        (RESTART, {"schedule": RESTART["schedule"] | {"warmup_steps": 4}}, None),
        (CONSTANT, CONSTANT, 20),  # there is no decay: to the end
        ({}, {}, 9),  # the decay begins at 10: to the last checkpoint before it
        ({"schedule": SCHEDULE | {"restart_steps": [8]}}, {"schedule": SCHEDULE | {"restart_steps": [8]}}, 12),
        (RESTART, COSINE, 9),  # already the first decay differs
    ],
)
def test_it_continues_from_the_last_state_before_the_learning_rates_differ(
    before: dict[str, Any], after: dict[str, Any], step: int | None, tmp_path: Path
) -> None:
    planned = Run(tmp_path / "planned").train(40, **after)
    first = Run(tmp_path / "first").train(20, **before)
    longer = Run(tmp_path / "longer").train(40, earlier=first, **after)
    assert longer.continued == ([] if step is None else [step])
    longer.assert_equals(planned)


def test_a_training_killed_in_the_middle_is_continued_and_so_is_one_that_continued(tmp_path: Path) -> None:
    planned = Run(tmp_path / "planned").train(40, **CONSTANT)
    first, longer = Run(tmp_path / "first"), Run(tmp_path / "longer")
    with pytest.raises(KeyboardInterrupt):
        first.train(20, killed_at=14, **CONSTANT)
    for step in (21, 35):
        with pytest.raises(KeyboardInterrupt):
            longer.train(40, earlier=first, killed_at=step, **CONSTANT)
    longer.train(40, earlier=first, **CONSTANT)
    assert longer.continued == [14]
    longer.assert_equals(planned)


def test_early_stopping_that_is_called_off_is_continued(tmp_path: Path) -> None:
    still = {"optimizer": {"name": "adamw", "learning_rate": 1e-12, "beta1": 0.9, "beta2": 0.9, "weight_decay": 0.0}}
    first = Run(tmp_path / "first").train(40, early_stopping_patience=1, **CONSTANT, **still)
    assert first.record.n_steps < 40
    longer = Run(tmp_path / "longer").train(40, earlier=first, **CONSTANT, **still)
    assert longer.continued == [first.record.n_steps]
    longer.assert_equals(Run(tmp_path / "planned").train(40, **CONSTANT, **still))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 2},
        {"added_to_a_weight": 1e-3},
        {"optimizer": CONFIG["optimizer"] | {"learning_rate": 0.021}},  # type: ignore[operator]
        {"batches": make_batches(training=STREAM[::-1].copy())},
        {"batches": make_batches(validation=BATCHES["training"][500:])},  # type: ignore[index]
        {"gradient_accumulation_steps": 2},
        {"max_grad_norm": 0.5},
    ],
)
def test_a_training_that_differs_in_anything_else_never_continues(changes: dict[str, Any], tmp_path: Path) -> None:
    first = Run(tmp_path / "first").train(6, **CONSTANT)
    other = Run(tmp_path / "other").train(8, earlier=first, **CONSTANT | changes)
    assert other.continued == []
    assert other.record.n_steps == 8


def test_a_damaged_state_is_not_continued(tmp_path: Path) -> None:
    first = Run(tmp_path / "first").train(20, **CONSTANT)
    path = tmp_path / "first" / "step-00000020.interrupted" / "tensors.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    longer = Run(tmp_path / "longer").train(40, earlier=first, **CONSTANT)
    assert longer.continued == [18]
    longer.assert_equals(Run(tmp_path / "planned").train(40, **CONSTANT))
