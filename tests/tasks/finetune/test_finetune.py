from pathlib import Path
from typing import Any

import pytest

from lmcore.config.classification import ClassificationTrainingConfig
from lmcore.config.completion import CompletionTrainingConfig, TargetExamples
from lmcore.config.training import TrainingConfig
from tasks.context.environment import Environment
from tasks.finetune import FinetuneFiles, finetune_classifier, finetune_completion
from tests.sample_project import PROJECT
from tests.tasks.evaluate.evaluated_project import SPLIT, write_documents

TRAINING = TrainingConfig.model_construct(max_eval_samples=10, batch_size=4)


@pytest.fixture
def files(tmp_path: Path) -> FinetuneFiles:
    write_documents(tmp_path / "clean")
    return FinetuneFiles(tmp_path / "clean", tmp_path / "none", tmp_path / "new", tmp_path / "curves")


def test_a_classifier_without_two_frequent_labels_is_not_trained(files: FinetuneFiles, tmp_path: Path) -> None:
    config = ClassificationTrainingConfig.model_construct(
        label_column="label", problem_type=None, min_examples_per_label=1000, max_train_samples=10, training=TRAINING
    )
    reason = finetune_classifier(config, SPLIT, 1, Environment(work_folder=tmp_path), files)
    assert reason is not None
    assert reason.startswith("0 labels have at least 1000 training documents")
    assert not files.model_folder.exists()


def test_a_completion_model_without_examples_is_not_trained(files: FinetuneFiles, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "examples": TargetExamples(kind="target", question_separator=None),
        "prompt": PROJECT / "prompts/completion/plain.jinja",
        "truncated_field": "text",
        "truncation_side": "right",
        "max_prompt_tokens": 10,
        "max_completion_tokens": 10,
        "max_train_samples": 10,
        "training": TRAINING,
    }
    config = CompletionTrainingConfig.model_construct(**settings)
    reason = finetune_completion(config, SPLIT, 1, Environment(work_folder=tmp_path), files)
    assert reason is not None
    assert reason.startswith("0 training and 0 validation documents have a prompt and a completion")
    assert not files.model_folder.exists()
