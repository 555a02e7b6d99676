"""Prepares the training of a classifier: chooses labels and documents, and encodes them into batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from lmcore.config.classification import ClassificationTrainingConfig
from lmcore.config.models import max_position_embeddings_of
from lmcore.config.tokenize import SplitFractions
from lmcore.config.training import TrainingConfig
from lmcore.finetuning.classification.class_weights import class_weights
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.examples import (
    LabeledText,
    classification_examples,
    classification_sequence,
    frequent_labels,
    known_examples,
)
from lmcore.finetuning.classification.ngram_classifier import NgramClassifier
from lmcore.finetuning.examples import choose_examples
from lmcore.models.trainable import TextEncoder
from lmcore.tokens.batches.batches import ExampleBatches
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class ClassificationData:
    """The texts and labels that a classifier is trained and validated on, and its labels in the order of classes."""

    labels: tuple[str, ...]
    training: list[LabeledText]
    validation: list[LabeledText]


def choose_classification_data(
    documents: pa.Table, fractions: SplitFractions, config: ClassificationTrainingConfig, *, seed: int
) -> ClassificationData:
    """Choose the labels that are frequent enough, and at most ``config.max_train_samples`` training documents.

    Args:
        documents: clean documents, with the columns of
            :func:`~lmcore.finetuning.classification.examples.classification_columns`.
        fractions: the fractions of held-out documents, as for the language model.
        config: where the labels are, and the limits.
        seed: the seed of the choice.
    """
    examples = classification_examples(documents, fractions, config.label_column)
    labels = frequent_labels(examples["train"].label_sets, config.min_examples_per_label)
    training, held_out = (
        known_examples(examples[split], labels, is_multi_label=config.is_multi_label)
        for split in ("train", "validation")
    )
    return ClassificationData(
        labels,
        choose_examples(training, config.max_train_samples, seed),
        choose_examples(held_out, config.training.max_eval_samples, seed),
    )


def classification_batches(
    data: ClassificationData, classifier: Classifier, tokenizer: Tokenizer, config: TrainingConfig, *, seed: int
) -> ExampleBatches:
    """Batches of the tokens of each text that the classifier reads, with its class or classes as targets."""
    training, validation = (
        [classification_sequence(classifier, tokenizer, example) for example in examples]
        for examples in (data.training, data.validation)
    )
    padding = tokenizer.vocabulary.padding_id
    return ExampleBatches(training, validation, batch_size=config.batch_size, seed=seed, padding=padding)


def classifier_on(
    backbones: Sequence[TextEncoder], data: ClassificationData, config: ClassificationTrainingConfig
) -> Classifier:
    """A classifier with an untrained head on each backbone; it reads no more tokens than the backbones can."""
    backbone, *others = backbones
    context = max_position_embeddings_of(backbone.config)
    label_sets = [found for _, found in data.training]
    ngrams = config.ngram_classifier
    return Classifier(
        backbone,
        data.labels,
        max_tokens=config.max_tokens if context is None else min(config.max_tokens, context),
        truncation_side=config.truncation_side,
        pooling=config.pooling,
        problem_type="multi_label_classification" if config.is_multi_label else "single_label_classification",
        dropout=config.dropout,
        class_weights=class_weights(
            config.class_weights, data.labels, label_sets, is_multi_label=config.is_multi_label
        ),
        ngram_classifier=None if ngrams is None else NgramClassifier(ngrams, len(data.labels)),
        others=others,
    )
