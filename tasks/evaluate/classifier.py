"""Evaluates the classifier on test documents, compared with the majority class and with linear classifiers that are
trained on the same examples."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

from lmcore.config.evaluate import EvaluateConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.errors import UserError
from lmcore.evaluation.classification import (
    MAX_UNTRAINED_SHOWN,
    ClassifiedDocuments,
    majority_class,
    untrained_classes,
)
from lmcore.evaluation.linear import linear_predictions, strongest
from lmcore.evaluation.names import BAG_OF_WORDS, CHARACTER_NGRAMS, ENDINGS, MAJORITY, MODEL, NETWORK, UNCALIBRATED
from lmcore.evaluation.result import EvaluationResult
from lmcore.finetuning.classification.examples import (
    LabeledTexts,
    classification_columns,
    classification_examples,
    known_examples,
)
from lmcore.finetuning.classification.prediction import logits_of_parts
from lmcore.finetuning.examples import choose_examples
from lmcore.models.folder import read_description
from lmcore.runtime.files import write_csv
from lmcore.text.documents.shards import read_documents
from lmcore.text.split import SPLITS
from tasks.context.prefect import task
from tasks.evaluate.contamination import read_is_clean
from tasks.evaluate.models import classifier_on_device, why_absent
from tasks.evaluate.multi_label import evaluate_labels
from tasks.evaluate.results import write_result

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Examples:
    """Documents by their use.

    Attributes:
        trained: the classes that the classifier knows.
        training: texts and labels that it was trained on.
        validation: texts and labels that select among the linear classifiers.
        ids: ids of the test documents.
        texts: their texts.
        labels: their labels, of any class.
    """

    trained: tuple[str, ...]
    training: list[tuple[str, str]]
    validation: list[tuple[str, str]]
    ids: list[str]
    texts: list[str]
    labels: list[str]


@task
def evaluate_classifier(
    config: EvaluateConfig,
    finetune: FinetuneConfig,
    split: SplitFractions,
    *,
    documents: Path,
    models: Path,
    output: Path,
) -> None:
    """Write ``classifier.json`` into ``output`` and, if there is a classifier, ``confusion.csv``."""
    reason = why_absent(models, "classifier")
    if reason is None and _is_multi_label(models / "classifier"):
        write_result(output, "classifier", _evaluate_labels(config, finetune, split, documents, models, output))
        return
    if reason is None:
        examples = _read_examples(config, finetune, split, documents, models / "classifier")
        reason = None if examples.texts else "no test document has a label"
    if reason is not None:
        write_result(output, "classifier", EvaluationResult(skipped=reason))
        return
    _warn_of_untrained(examples)
    classifier, tokenizer = classifier_on_device(models / "classifier")
    network, ngrams = logits_of_parts(classifier, tokenizer, examples.texts)
    logits = (network + ngrams).astype(np.float64)
    probabilities = {MODEL: softmax(logits / classifier.temperature, axis=1), UNCALIBRATED: softmax(logits, axis=1)}
    training, validation = (
        ([text for text, _ in pairs], [label for _, label in pairs])
        for pairs in (examples.training, examples.validation)
    )
    linear = linear_predictions(training, validation, examples.texts, config.classification.linear)
    predicted = {
        MODEL: [examples.trained[index] for index in logits.argmax(axis=1)],
        **{name: found.labels for name, found in linear.items()},
        MAJORITY: majority_class(training[1], len(examples.texts)),
    }
    if classifier.ngram_classifier is not None:
        predicted[NETWORK] = [examples.trained[index] for index in network.argmax(axis=1)]
    scores = {MODEL: probabilities[MODEL], **{name: found.scores for name, found in linear.items()}}
    classified = ClassifiedDocuments(examples.trained, examples.ids, examples.labels, predicted, scores, probabilities)
    metrics = classified.evaluate(read_is_clean(output, examples.ids), config)
    metrics = metrics.with_counts(
        n_training_examples=len(examples.training),
        n_classes=len(examples.trained) + len(classified.untrained),
        n_untrained_classes=len(classified.untrained),
    )
    names = {
        MODEL: f"fine-tuned {classifier.display_name}",
        **({} if classifier.ngram_classifier is None else {NETWORK: f"the {classifier.config.display_name} alone"}),
        BAG_OF_WORDS: "linear SVM on word n-grams",
        CHARACTER_NGRAMS: "linear SVM on character n-grams",
        ENDINGS: "linear SVM on the last characters",
        MAJORITY: "most frequent class (majority baseline)",
        UNCALIBRATED: "without its temperature",
    }
    details = {
        "strongest_baseline": strongest(linear),
        "linear": {
            name: {
                "inverse_regularization": found.inverse_regularization,
                "validation_accuracy": found.validation_accuracy,
            }
            for name, found in linear.items()
        },
        "temperature": classifier.temperature,
        "reliability": {name: classified.reliability(name, config.bootstrap.confidence) for name in probabilities},
        **classified.confusion(),
    }
    write_csv(output / "confusion.csv", ("actual", "predicted"), zip(examples.labels, predicted[MODEL], strict=True))
    write_result(output, "classifier", EvaluationResult(names, metrics, details))


def _is_multi_label(folder: Path) -> bool:
    return read_description(folder).problem_type == "multi_label_classification"


def _evaluate_labels(
    config: EvaluateConfig, finetune: FinetuneConfig, split: SplitFractions, documents: Path, models: Path, output: Path
) -> EvaluationResult:
    if finetune.classification is None:
        raise UserError(
            "there is a classifier, but finetune.classification is null in params.yaml: run `dvc repro finetune`"
        )
    classifier, tokenizer = classifier_on_device(models / "classifier")
    column, limit = finetune.classification.label_column, config.classification.max_documents
    examples = classification_examples(read_documents(documents, classification_columns(column)), split, column)
    training, validation, test = (
        known_examples(examples[name], classifier.labels, is_multi_label=True) for name in SPLITS
    )
    if not test:
        return EvaluationResult(skipped="no test document has labels")
    chosen = choose_examples(range(len(test)), limit, config.seed)
    return evaluate_labels(
        classifier,
        tokenizer,
        choose_examples(training, finetune.classification.max_train_samples, finetune.seed),
        choose_examples(validation, limit, config.seed),
        [test[index] for index in chosen],
        read_is_clean(output, [examples["test"].ids[index] for index in chosen]),
        config,
    )


def _read_examples(
    config: EvaluateConfig, finetune: FinetuneConfig, split: SplitFractions, documents: Path, folder: Path
) -> _Examples:
    """The examples that the classifier was trained on, drawn as in its training, and test examples."""
    labels = read_description(folder).labels
    if labels is None or finetune.classification is None:
        raise UserError(
            f"{folder} does not hold the classifier that params.yaml describes (finetune.classification): "
            "run `dvc repro finetune`"
        )
    limit, column = config.classification.max_documents, finetune.classification.label_column
    examples = classification_examples(read_documents(documents, classification_columns(column)), split, column)
    test = examples["test"]
    chosen = choose_examples(range(len(test.ids)), limit, config.seed)
    return _Examples(
        trained=labels,
        training=choose_examples(
            _labeled_pairs(examples["train"], labels), finetune.classification.max_train_samples, finetune.seed
        ),
        validation=choose_examples(_labeled_pairs(examples["validation"], labels), limit, config.seed),
        ids=[test.ids[index] for index in chosen],
        texts=[test.texts[index] for index in chosen],
        labels=[test.labels[index] for index in chosen],
    )


def _labeled_pairs(examples: LabeledTexts, labels: Sequence[str]) -> list[tuple[str, str]]:
    """The texts that have one of the labels, with that label."""
    return [(text, label) for text, (label,) in known_examples(examples, labels, is_multi_label=False)]


def _warn_of_untrained(examples: _Examples) -> None:
    untrained = untrained_classes(examples.trained, examples.labels)
    if untrained:
        n_more = len(untrained) - MAX_UNTRAINED_SHOWN
        logger.warning(
            "%d of %d test documents count as wrong, since their class was not trained: %s. A class is trained if it "
            "has at least finetune.classification.min_examples_per_label training documents.",
            sum(label in untrained for label in examples.labels),
            len(examples.labels),
            ", ".join(untrained[:MAX_UNTRAINED_SHOWN]) + (f" and {n_more} more" if n_more > 0 else ""),
        )
