"""The metric that matters decides which weights are kept and when training stops early; resuming stays exact."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from lmcore.config.training import TrainingConfig
from lmcore.errors import UserError
from lmcore.training.loop import train
from lmcore.training.record import TrainingRecord
from tests.lmcore.models.gpt.test_gpt import make_model
from tests.lmcore.training.trainer import CONFIG, make_batches

ACCURACY = {"metric_for_best_model": "accuracy", "eval_steps": 2, "save_steps": 3, "max_steps": 12}


class Measured:
    """A training whose accuracy is given for each validation; it may be killed at a step."""

    def __init__(self, folder: Path, scores: Mapping[int, float], killed_at: int | None = None, **changes: Any) -> None:
        self.model = make_model()
        self.history: list[tuple[int, Mapping[str, float]]] = []

        def note(now: int, metrics: Mapping[str, float]) -> None:
            self.history.append((now, {name: value for name, value in metrics.items() if "tokens" not in name}))
            if now == killed_at:
                raise KeyboardInterrupt

        def measure() -> float:
            assert not self.model.training
            assert not torch.is_grad_enabled()
            weights = self.model.state_dict()["embedding.weight"]
            seen.setdefault(weights.sum().item(), scores[2 * len(seen) + 2])
            return seen[weights.sum().item()]

        seen: dict[float, float] = {} if "seen" not in changes else changes.pop("seen")
        self.record: TrainingRecord = train(
            self.model,
            make_batches(),
            TrainingConfig.model_validate_json(json.dumps(CONFIG | ACCURACY | changes)),
            seed=1,
            checkpoints=folder,
            measure=measure,
            on_metrics=note,
            description="Train",
        )


SCORES = {2: 0.1, 4: 0.5, 6: 0.9, 8: 0.9, 10: 0.2, 12: 0.3}


def test_the_weights_of_the_highest_metric_are_kept_and_reported(tmp_path: Path) -> None:
    best = Measured(tmp_path / "best", SCORES)
    assert (best.record.best_step, best.record.best_metric) == (6, 0.9)
    assert best.record.metric_for_best_model == "accuracy"
    validations = [values for _, values in best.history if "validation_loss" in values]
    assert [values["validation_accuracy"] for values in validations] == list(SCORES.values())
    assert best.record.best_validation_loss == validations[2]["validation_loss"]
    # A training whose last validation is that of step 6, and which measures nothing, has the same weights.
    schedule = CONFIG["schedule"] | {"decay_ratio": 0.0}  # type: ignore[operator]
    best = Measured(tmp_path / "constant", SCORES, schedule=schedule)
    until = Measured(tmp_path / "until", {}, max_steps=6, schedule=schedule, metric_for_best_model="loss")
    assert until.record.best_step == 6
    weights = until.model.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in best.model.state_dict().items())


def test_training_stops_early_by_the_metric_although_the_loss_still_falls(tmp_path: Path) -> None:
    stopped = Measured(tmp_path, SCORES, early_stopping_patience=2)
    losses = [values["validation_loss"] for _, values in stopped.history if "validation_loss" in values]
    assert stopped.record.n_steps == 10
    assert min(losses) < stopped.record.best_validation_loss


@pytest.mark.parametrize("step", [4, 5, 8])
def test_a_killed_training_resumes_exactly(step: int, tmp_path: Path) -> None:
    whole = Measured(tmp_path / "whole", SCORES)
    seen: dict[float, float] = {}
    with pytest.raises(KeyboardInterrupt):
        Measured(tmp_path / "killed", SCORES, killed_at=step, seen=seen)
    resumed = Measured(tmp_path / "killed", SCORES, seen=seen)
    assert resumed.record == whole.record
    assert resumed.history == whole.history
    weights = whole.model.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in resumed.model.state_dict().items())


def test_a_metric_that_nothing_measures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="metric_for_best_model is accuracy, but only loss is measured here"):
        train(
            make_model(),
            make_batches(),
            TrainingConfig.model_validate_json(json.dumps(CONFIG | ACCURACY)),
            seed=1,
            checkpoints=tmp_path,
            on_metrics=lambda *_: None,
            description="Train",
        )
