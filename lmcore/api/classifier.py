"""Text classifiers: from (text, label) pairs to labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmcore.api.folders import model_target
from lmcore.api.training import checked_text, run_training, seeded
from lmcore.config.models import max_position_embeddings_of
from lmcore.config.training import TrainingConfig
from lmcore.errors import UserError
from lmcore.finetuning.classification.classifier import Classifier, encode_for_classifier, predict, save_classifier
from lmcore.models.device import pick_device
from lmcore.models.model import Model
from lmcore.models.trainable import TextEncoder
from lmcore.tokens.batches.batches import ExampleBatches
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

DROPOUT = 0.2
VALIDATION_FRACTION = 0.1


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
        """The labels that it can predict, in alphabetical order."""
        return self.model.labels

    def predict(self, text: str) -> str:
        """The most probable label of ``text``."""
        probabilities = self.probabilities(text)
        return max(probabilities, key=lambda label: probabilities[label])

    def probabilities(self, text: str) -> dict[str, float]:
        """The probability of each label."""
        (row,) = predict(self.model, self.tokenizer, [checked_text(text, "text")])
        return dict(zip(self.labels, map(float, row), strict=True))

    def accuracy(self, pairs: Sequence[tuple[str, str]]) -> float:
        """The fraction of ``(text, label)`` pairs whose label is predicted.

        Raises:
            UserError: if there are no pairs.
        """
        pairs = checked_pairs(pairs)
        predicted = predict(self.model, self.tokenizer, [text for text, _ in pairs]).argmax(axis=1)
        return float(np.mean([self.labels[index] == label for index, (_, label) in zip(predicted, pairs, strict=True)]))

    def save(self, folder: str | Path) -> None:
        """Save a model folder, which :func:`lmcore.load` loads; an existing model is replaced.

        Raises:
            UserError: if the folder holds anything else.
        """
        save_classifier(model_target(folder), self.model, self.tokenizer, self.record)


def checked_pairs(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs as a list.

    Raises:
        UserError: if they are not pairs of strings, or there are none.
    """
    pairs = list(pairs)
    for index, pair in enumerate(pairs):
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
            raise UserError(f"pairs[{index}] is {pair!r}, expected a pair of strings: (text, label)")
    if not pairs:
        raise UserError("there are no examples: give a list of (text, label) pairs")
    return [(text, label) for text, label in pairs]


def train_classifier(
    backbone: Model,
    tokenizer: Tokenizer,
    pairs: Sequence[tuple[str, str]],
    config: TrainingConfig,
    *,
    max_tokens: int,
    seed: int,
) -> TextClassifier:
    """Train ``backbone``, in place, with a linear head on top; a tenth of the examples is held out for validation."""
    pairs = checked_pairs(pairs)
    labels = sorted({label for _, label in pairs})
    if len(labels) < 2:
        raise UserError(f"all examples have the label {labels[0]!r}: a classifier needs at least two different labels")
    if max_tokens < 2:
        raise UserError(f"max_tokens {max_tokens}: must be 2 or more")
    if not isinstance(backbone, TextEncoder):
        raise UserError(f"a model of family {backbone.config.family} cannot be the base of a classifier")
    with seeded(seed):
        classifier = Classifier(
            backbone,
            labels,
            max_tokens=min(max_tokens, max_position_embeddings_of(backbone.config) or max_tokens),
            dropout=DROPOUT,
        ).to(pick_device())
    examples = [
        (encode_for_classifier(tokenizer, text, classifier.max_tokens), labels.index(label)) for text, label in pairs
    ]
    order = np.random.default_rng(seed).permutation(len(examples))
    n_validation = max(1, round(VALIDATION_FRACTION * len(examples)))
    batches = ExampleBatches(
        [examples[index] for index in order[n_validation:]],
        [examples[index] for index in order[:n_validation]],
        batch_size=config.batch_size,
        seed=seed,
        padding=tokenizer.vocabulary.padding_id,
    )
    record = run_training(classifier, batches, config, seed, "Train classifier")
    return TextClassifier(classifier, tokenizer, record)
