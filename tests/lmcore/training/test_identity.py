"""A training resumes only from its own checkpoints, and leaves the process as it was."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lmcore.config.training import TrainingConfig
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.batches.batches import Batches, ExampleBatches
from lmcore.training.loop import train
from lmcore.training.record import TrainingRecord
from tests.lmcore.models.gpt.test_gpt import make_model
from tests.lmcore.training.trainer import CONFIG, STREAM, make_batches

SHORT = CONFIG | {"max_steps": 4}
ADAMW = {"name": "adamw", "learning_rate": 0.02, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.0}
EXAMPLES = [([3 + number % 5, 4, 5], number % 2) for number in range(20)]


def run(
    folder: Path | None,
    model: TrainableModel | None = None,
    batches: Batches | None = None,
    seed: int = 1,
    **changes: Any,
) -> TrainingRecord:
    return train(
        model or make_model(),
        batches or make_batches(),
        TrainingConfig.model_validate_json(json.dumps(SHORT | changes)),
        seed=seed,
        checkpoints=folder,
        on_metrics=lambda _step, _metrics: None,
        description="Train",
    )


def other_model() -> TrainableModel:
    model = make_model()
    with torch.no_grad():
        next(model.parameters()).flatten()[0] += 1e-3
    return model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_grad_norm": 0.5}, r"max_grad_norm was 1\.0 there and is 0\.5 here"),
        ({"optimizer": ADAMW}, r"optimizer\.name was muon there and is adamw here"),
        ({"seed": 99}, "seed was 1 there and is 99 here"),
        ({"batches": make_batches(training=STREAM[::-1].copy())}, "the data differ"),
        ({"batches": make_batches(seed=2)}, "the data differ"),
        ({"model": other_model()}, "the starting weights differ"),
        ({"model": make_model(dropout=0.1)}, "the model differs"),
    ],
)
def test_checkpoints_of_another_training_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    run(tmp_path)
    with pytest.raises(
        ValueError, match=rf"holds the checkpoints of another training \(.*{message}.*use a separate folder"
    ):
        run(tmp_path, **changes)


def classifier(*labels: str) -> Classifier:
    return Classifier(make_model(), labels, max_tokens=8)


def examples(training: list[tuple[list[int], int]], batch_size: int = 4) -> ExampleBatches:
    return ExampleBatches(training, EXAMPLES[:4], batch_size=batch_size, seed=1, padding=1)


def test_swapped_classes_are_another_training(tmp_path: Path) -> None:
    run(tmp_path, classifier("a", "b"), examples(EXAMPLES))
    with pytest.raises(ValueError, match="the model differs"):
        run(tmp_path, classifier("b", "a"), examples(EXAMPLES))
    with pytest.raises(ValueError, match="the data differ"):
        run(tmp_path, classifier("a", "b"), examples([(tokens, 1 - label) for tokens, label in EXAMPLES]))


def test_the_same_call_gives_the_same_model_from_a_trained_or_an_untrained_one(tmp_path: Path) -> None:
    model = make_model()
    record = run(tmp_path, model)
    trained = {name: weight.clone() for name, weight in model.state_dict().items()}
    for again in (model, make_model()):
        assert run(tmp_path, again) == record
        assert all(torch.equal(trained[name], weight) for name, weight in again.state_dict().items())


def test_without_a_folder_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    record = run(None)
    assert list(tmp_path.iterdir()) == []
    assert record == run(tmp_path / "kept")


def test_the_process_keeps_its_random_state_and_torch_settings(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    model, precision = make_model(), torch.get_float32_matmul_precision()
    torch.manual_seed(7)
    run(tmp_path, model, full_determinism=True)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_float32_matmul_precision() == precision


@pytest.mark.parametrize(
    ("training", "validation", "message"),
    [
        ([], EXAMPLES, "there are no training examples"),
        (EXAMPLES, [], "the validation examples have no targets"),
        ([([3, 4], [-100, -100])], [([3, 4], [4, 5])], "the training examples have no targets"),
        ([([3, 4], [4, 5])], [([3, 4], [-100, -100])] * 3, "the validation examples have no targets"),
    ],
)
def test_missing_targets_are_reported_before_the_first_step(
    tmp_path: Path, training: Any, validation: Any, message: str
) -> None:
    batches = ExampleBatches(training, validation, batch_size=2, seed=1, padding=1)
    with pytest.raises(ValueError, match=message):
        run(tmp_path, batches=batches)
    assert list(tmp_path.iterdir()) == []


def test_batches_without_targets_are_skipped(tmp_path: Path) -> None:
    training = [([3, 4], [4, 5] if number % 2 else [-100, -100]) for number in range(6)]
    batches = ExampleBatches(training, training, batch_size=1, seed=1, padding=1)
    record = run(tmp_path, batches=batches, max_steps=6, stability=CONFIG["stability"] | {"max_skipped_steps": 6})
    assert record.n_skipped_steps == 3
    assert np.isfinite(record.best_validation_loss)
