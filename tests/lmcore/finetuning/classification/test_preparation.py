from typing import Any

import pytest

from lmcore.config.classification import ClassificationTrainingConfig
from lmcore.config.tokenize import BytePairConfig
from lmcore.finetuning.classification.finishing import calibrate
from lmcore.finetuning.classification.preparation import (
    choose_classification_data,
    classification_batches,
    classifier_on,
)
from lmcore.models.gpt.model import GPT
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.finetuning.sample_documents import FRACTIONS, Limits, table_of
from tests.tasks.tracking.tiny_models import CONFIG


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["the list is sorted"] * 3, BytePairConfig(kind="byte_pair", vocabulary_size=260))


def classification(**changes: Any) -> ClassificationTrainingConfig:
    values = {
        "label_column": "label",
        "truncation_side": "right",
        "pooling": "mean_max",
        "ngram_classifier": None,
        "problem_type": None,
        "class_weights": None,
        "max_tokens": 100,
        "max_train_samples": 6,
        "min_examples_per_label": 2,
        "dropout": 0.0,
        "training": Limits(),
    }
    return ClassificationTrainingConfig.model_construct(**values | changes)


def test_rare_labels_and_surplus_examples_are_left_out(tokenizer: Tokenizer) -> None:
    def label(number: int) -> str:
        return "rare" if number == 0 else ("a", "b")[number // 2 % 2]

    table = table_of(text=lambda number: f"the list {number}", label=label)
    data = choose_classification_data(table, FRACTIONS, classification(), seed=1)
    assert data.labels == ("a", "b")
    assert len(data.training) == 6
    assert len(data.validation) == 3
    classifier = classifier_on([GPT(CONFIG, tokenizer.vocabulary)], data, classification())
    assert classifier.max_tokens == CONFIG.max_position_embeddings
    batch = classification_batches(data, classifier, tokenizer, Limits(), seed=1).training_batch(0)
    assert set(batch.targets.tolist()) <= {0, 1}


def test_texts_with_any_number_of_labels_have_those_that_are_frequent_enough(tokenizer: Tokenizer) -> None:
    def labels(number: int) -> list[str] | None:
        return None if number < 4 else [name for name, each in (("a", 4), ("b", 3), ("rare", 32)) if number % each == 0]

    table = table_of(text=lambda number: f"the list {number}", labels=labels)
    config = classification(label_column="labels", class_weights="balanced", max_train_samples=100)
    data = choose_classification_data(table, FRACTIONS, config, seed=1)
    assert data.labels == ("a", "b")
    assert len(data.training) == 18  # those that have a list of labels, which may be empty
    assert {("the list 8", ("a",)), ("the list 10", ()), ("the list 12", ("a", "b"))} <= set(data.training)
    classifier = classifier_on([GPT(CONFIG, tokenizer.vocabulary)], data, config)
    assert classifier.is_multi_label
    batches = classification_batches(data, classifier, tokenizer, Limits(), seed=1)
    batch = batches.training_batch(0)
    assert batch.n_targets == 2 * len(batch.tokens)
    assert classifier.loss(batch.tokens, batch.targets).isfinite()
    calibrate(classifier, tokenizer, data.validation)
    assert classifier.temperature > 0
