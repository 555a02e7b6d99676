"""The classifier on test documents, beside the commonest class and a bag of words trained on its own examples."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmcore.evaluation.baselines import bag_of_words, majority_class
from lmcore.evaluation.bootstrap import Bootstrap
from lmcore.evaluation.classification import (
    ClassificationMeasures,
    Labels,
    accuracy_difference,
    confusion_matrix,
)
from lmcore.evaluation.config import EvaluateConfig
from lmcore.files import write_json
from lmcore.models.classifier import predict
from lmcore.models.folder import read_description
from lmcore.text.config import SplitFractions
from lmcore.text.shards import read_documents
from lmcore.text.supervised import CLASSIFICATION_COLUMNS, classification_examples
from lmcore.training.config import FinetuneConfig
from lmcore.training.examples import choose_examples, labeled_pairs
from tasks.evaluate.models import classifier_on_device, why_absent
from tasks.evaluate.tables import write_csv
from tasks.step import step

logger = logging.getLogger(__name__)

NEURAL, BAG_OF_WORDS, MAJORITY = "neural", "bag_of_words", "majority_class"


@dataclass(frozen=True)
class _Task:
    """What was learned, from which examples, and what is asked now."""

    labels: tuple[str, ...]
    training: list[tuple[str, str]]
    test: list[tuple[str, str]]


@step()
def evaluate_classifier(
    config: EvaluateConfig,
    finetune: FinetuneConfig,
    split: SplitFractions,
    *,
    documents: Path,
    models: Path,
    output: Path,
) -> None:
    """Write ``classifier.json`` into ``output``, and ``confusion.csv`` where there is a classifier."""
    reason = why_absent(models, "classifier")
    if reason is None:
        task = _read_task(config, finetune, split, documents, models / "classifier")
        reason = None if task.test else "no test document carries one of its labels"
    if reason is not None:
        logger.warning("The classifier is not evaluated: %s", reason)
        write_json(output / "classifier.json", {"skipped": reason})
        return
    classifier, tokenizer = classifier_on_device(models / "classifier")
    texts = [text for text, _ in task.test]
    chosen = predict(classifier, tokenizer, texts).argmax(axis=1)
    _write(output, task, {NEURAL: [task.labels[index] for index in chosen], **_baselines(task, config)}, config)


def _read_task(
    config: EvaluateConfig, finetune: FinetuneConfig, split: SplitFractions, documents: Path, folder: Path
) -> _Task:
    """The examples that the classifier was trained on, drawn as the training drew them, and test examples."""
    labels = read_description(folder).labels
    if labels is None or finetune.classification is None:
        raise ValueError(f"{folder} holds no classifier that params.yaml asks for; run `dvc repro finetune`")
    table = read_documents(documents, CLASSIFICATION_COLUMNS)
    examples = classification_examples(table, split)
    training = labeled_pairs(examples["train"], labels)
    test = labeled_pairs(examples["test"], labels)
    return _Task(
        labels=labels,
        training=choose_examples(training, finetune.classification.max_examples, finetune.seed),
        test=choose_examples(test, config.classification.max_documents, config.seed),
    )


def _baselines(task: _Task, config: EvaluateConfig) -> dict[str, list[str]]:
    training_texts = [text for text, _ in task.training]
    training_labels = [label for _, label in task.training]
    texts = [text for text, _ in task.test]
    return {
        BAG_OF_WORDS: bag_of_words(training_texts, training_labels, texts, config.classification.bag_of_words),
        MAJORITY: majority_class(training_labels, len(texts)),
    }


def _write(output: Path, task: _Task, predicted_labels: dict[str, list[str]], config: EvaluateConfig) -> None:
    actual_labels = [label for _, label in task.test]
    actual = _numbers(actual_labels, task.labels)
    predicted = {name: _numbers(labels, task.labels) for name, labels in predicted_labels.items()}
    bootstrap = Bootstrap(len(actual), config.bootstrap, config.seed)
    figures: dict[str, Any] = {
        name: asdict(ClassificationMeasures.of(actual, numbers, len(task.labels), bootstrap))
        for name, numbers in predicted.items()
    }
    figures["differences"] = {
        f"{NEURAL}_minus_{name}": accuracy_difference(actual, predicted[NEURAL], predicted[name], bootstrap).as_dict()
        for name in (BAG_OF_WORDS, MAJORITY)
    }
    figures["n_documents"], figures["n_training_documents"] = len(task.test), len(task.training)
    confusion = confusion_matrix(actual, predicted[NEURAL], len(task.labels))
    write_json(output / "classifier.json", {"figures": figures, "labels": task.labels, "confusion": confusion.tolist()})
    rows = zip(actual_labels, predicted_labels[NEURAL], strict=True)
    write_csv(output / "confusion.csv", ("actual", "predicted"), rows)
    shown = ", ".join(f"{name} {figures[name]['accuracy']['value']:.3f}" for name in predicted)
    logger.info("Accuracy on %d test documents: %s", len(task.test), shown)


def _numbers(names: Sequence[str], labels: Sequence[str]) -> Labels:
    number_of = {label: number for number, label in enumerate(labels)}
    return np.array([number_of[name] for name in names], dtype=np.int64)
