"""Text classifiers: from (text, label) pairs to labels."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmcore.api.folders import model_target
from lmcore.api.training import checked_text, run_training, seeded
from lmcore.config.classification import ClassWeights, NgramClassifierConfig
from lmcore.config.models import max_position_embeddings_of
from lmcore.config.training import TrainingConfig
from lmcore.errors import UserError
from lmcore.finetuning.classification.class_weights import class_weights as weights_of_classes
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.examples import LabeledText
from lmcore.finetuning.classification.finishing import calibrate, fit_ngram_classifier
from lmcore.finetuning.classification.folder import save_classifier
from lmcore.finetuning.classification.ngram_classifier import NgramClassifier
from lmcore.finetuning.classification.prediction import chosen_labels, predict
from lmcore.finetuning.classification.preparation import ClassificationData, classification_batches
from lmcore.models.device import pick_device
from lmcore.models.model import Model
from lmcore.models.trainable import TextEncoder
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

LabeledPair = tuple[str, str | Collection[str]]
"""A text with its label, or with a list of its labels."""

DROPOUT = 0.2
VALIDATION_FRACTION = 0.1
NGRAMS = NgramClassifierConfig(longest=3, num_buckets=1 << 16, max_tokens=1024, inverse_regularization=3.0)


class TextClassifier:
    """A classifier with its tokenizer.

    Args:
        model: the PyTorch model; it is moved to the GPU if there is one.
        tokenizer: the tokenizer that it was trained with.
        record: how it was trained, see ``record.json`` in its folder.
    """

    def __init__(self, model: Classifier, tokenizer: Tokenizer, record: Any = None) -> None:
        self.model = model.to(pick_device()).eval()
        self.tokenizer = tokenizer
        self.record = {} if record is None else record

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.labels)})"

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the classifier can predict, in alphabetical order."""
        return self.model.labels

    @property
    def is_multi_label(self) -> bool:
        """Whether a text may have any number of labels."""
        return self.model.is_multi_label

    def predict(self, text: str) -> str | tuple[str, ...]:
        """The most probable label of ``text``; with any number of labels, those with a probability of 0.5 or more."""
        (labels,) = self._chosen([checked_text(text, "text")])
        return labels if self.is_multi_label else labels[0]

    def probabilities(self, text: str) -> dict[str, float]:
        """The probability of each label, calibrated on held-out examples; they sum to 1 if a text has one label."""
        (row,) = predict(self.model, self.tokenizer, [checked_text(text, "text")])
        return dict(zip(self.labels, map(float, row), strict=True))

    def accuracy(self, pairs: Sequence[LabeledPair]) -> float:
        """The fraction of ``(text, label)`` or ``(text, labels)`` pairs whose label, or all of whose labels, are
        predicted.

        Raises:
            UserError: if there are no pairs.
        """
        examples = checked_pairs(pairs)
        chosen = self._chosen([text for text, _ in examples])
        return float(np.mean([set(own) == set(labels) for own, (_, labels) in zip(chosen, examples, strict=True)]))

    def _chosen(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        return chosen_labels(self.model, predict(self.model, self.tokenizer, texts))

    def save(self, folder: str | Path) -> None:
        """Save a model folder, which :func:`lmcore.load` loads; an existing model is replaced.

        Raises:
            UserError: if the folder holds anything else.
        """
        save_classifier(model_target(folder), self.model, self.tokenizer, self.record)


def checked_pairs(pairs: Sequence[LabeledPair]) -> list[LabeledText]:
    """The pairs as a list, each with a tuple of labels.

    Raises:
        UserError: if there are no pairs, or one is not a text with its label or a list of its labels.
    """
    examples = []
    for index, pair in enumerate(pairs):
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str) and _is_label(pair[1])):
            raise UserError(
                f"pairs[{index}] is {pair!r}, expected a pair of strings: (text, label), or a text with the list of "
                "its labels"
            )
        text, labels = pair
        examples.append((text, (labels,) if isinstance(labels, str) else tuple(labels)))
    if not examples:
        raise UserError("there are no examples: give a list of (text, label) pairs")
    return examples


def train_classifier(
    backbone: Model,
    tokenizer: Tokenizer,
    pairs: Sequence[LabeledPair],
    config: TrainingConfig,
    *,
    max_tokens: int,
    class_weights: ClassWeights | None,
    seed: int,
) -> TextClassifier:
    """Train ``backbone``, in place, with a linear head on top; a tenth of the examples is held out for validation.

    A text may have any number of labels if the labels of all texts are lists.
    """
    examples, is_multi_label = checked_pairs(pairs), _is_multi_label(pairs)
    labels = tuple(sorted({label for _, found in examples for label in found}))
    if not labels:
        raise UserError("no example has a label: a classifier needs at least one")
    if len(labels) < 2 and not is_multi_label:
        raise UserError(f"all examples have the label {labels[0]!r}: a classifier needs at least two different labels")
    if max_tokens < 2:
        raise UserError(f"max_tokens {max_tokens}: must be 2 or more")
    if not isinstance(backbone, TextEncoder):
        raise UserError(f"a model of family {backbone.config.family} cannot be the base of a classifier")
    order = np.random.default_rng(seed).permutation(len(examples))
    n_validation = max(1, round(VALIDATION_FRACTION * len(examples)))
    data = ClassificationData(
        labels,
        training=[examples[index] for index in order[n_validation:]],
        validation=[examples[index] for index in order[:n_validation]],
    )
    with seeded(seed):
        classifier = Classifier(
            backbone,
            labels,
            max_tokens=min(max_tokens, max_position_embeddings_of(backbone.config) or max_tokens),
            problem_type="multi_label_classification" if is_multi_label else "single_label_classification",
            dropout=DROPOUT,
            class_weights=weights_of_classes(
                class_weights, labels, [found for _, found in data.training], is_multi_label=is_multi_label
            ),
            ngram_classifier=NgramClassifier(NGRAMS, len(labels)),
        ).to(pick_device())
    batches = classification_batches(data, classifier, tokenizer, config, seed=seed)
    record = run_training(classifier, batches, config, seed, "Train classifier")
    fit_ngram_classifier(classifier, tokenizer, data.training)
    calibrate(classifier, tokenizer, data.validation)
    return TextClassifier(classifier, tokenizer, record)


def _is_label(labels: Any) -> bool:
    """Whether a value is a label or a list of labels."""
    is_list = isinstance(labels, list | tuple | set | frozenset)
    return isinstance(labels, str) or (is_list and all(isinstance(label, str) for label in labels))


def _is_multi_label(pairs: Sequence[LabeledPair]) -> bool:
    kinds = {isinstance(labels, str) for _, labels in pairs}
    if len(kinds) > 1:
        raise UserError("some examples have a label and others a list of labels: give lists for all or for none")
    return kinds == {False}
