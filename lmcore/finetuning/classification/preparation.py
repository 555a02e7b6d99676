"""Prepares the training of a classifier: chooses labels and documents, and encodes them into batches."""

from dataclasses import dataclass

import pyarrow as pa

from lmcore.config.classification import ClassificationTrainingConfig
from lmcore.config.models import max_position_embeddings_of
from lmcore.config.tokenize import SplitFractions
from lmcore.config.training import TrainingConfig
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.examples import (
    classification_examples,
    classification_sequence,
    frequent_labels,
    labeled_pairs,
)
from lmcore.finetuning.examples import choose_examples
from lmcore.models.trainable import TextEncoder
from lmcore.tokens.batches.batches import ExampleBatches
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class ClassificationData:
    """The (text, label) pairs that a classifier is trained and validated on, and its labels in the order of classes."""

    labels: tuple[str, ...]
    training: list[tuple[str, str]]
    validation: list[tuple[str, str]]


def choose_classification_data(
    documents: pa.Table, fractions: SplitFractions, config: ClassificationTrainingConfig, *, seed: int
) -> ClassificationData:
    """Choose the labels that are frequent enough, and at most ``config.max_train_samples`` training documents.

    Args:
        documents: clean documents, with the columns of :data:`~lmcore.finetuning.supervised.CLASSIFICATION_COLUMNS`.
        fractions: the fractions of held-out documents, as for the language model.
        config: the limits.
        seed: the seed of the choice.
    """
    examples = classification_examples(documents, fractions)
    labels = frequent_labels(examples["train"].labels, config.min_examples_per_label)
    training = choose_examples(labeled_pairs(examples["train"], labels), config.max_train_samples, seed)
    held_out = labeled_pairs(examples["validation"], labels)
    return ClassificationData(labels, training, choose_examples(held_out, config.training.max_eval_samples, seed))


def classification_batches(
    data: ClassificationData, classifier: Classifier, tokenizer: Tokenizer, config: TrainingConfig, *, seed: int
) -> ExampleBatches:
    """Batches of the first ``classifier.max_tokens`` tokens of each text, with the class of its label as target."""
    training, validation = (
        [classification_sequence(tokenizer, text, label, data.labels, classifier.max_tokens) for text, label in pairs]
        for pairs in (data.training, data.validation)
    )
    padding = tokenizer.vocabulary.padding_id
    return ExampleBatches(training, validation, batch_size=config.batch_size, seed=seed, padding=padding)


def classifier_on(backbone: TextEncoder, labels: tuple[str, ...], config: ClassificationTrainingConfig) -> Classifier:
    """A classifier with an untrained head, which reads no more tokens than the backbone can."""
    context = max_position_embeddings_of(backbone.config)
    max_tokens = config.max_tokens if context is None else min(config.max_tokens, context)
    return Classifier(backbone, labels, max_tokens=max_tokens, dropout=config.dropout)
