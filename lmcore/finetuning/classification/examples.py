"""Labeled documents, and their token sequences."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from lmcore.config.base import Split
from lmcore.config.classification import LabelColumn
from lmcore.config.tokenize import SplitFractions
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.completeness import complete_and_truncated
from lmcore.finetuning.classification.prediction import encode_for_classifier
from lmcore.finetuning.examples import rows_by_split
from lmcore.text.split import SPLITS
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

LabeledText = tuple[str, tuple[str, ...]]
"""A text and its labels: one, or any number of them."""


@dataclass(frozen=True, slots=True)
class LabeledTexts:
    """The ids, texts and labels of examples, in the same order.

    Attributes:
        ids: the ids of the documents that the texts are from; a document may give several examples.
        texts: the texts.
        label_sets: the labels of each text: one, or any number of them.
    """

    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    label_sets: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        """The label of each text, where each has one."""
        return [label for (label,) in self.label_sets]

    def add(self, identity: str, text: str, labels: tuple[str, ...]) -> None:
        """Add an example of a document."""
        self.ids.append(identity)
        self.texts.append(text)
        self.label_sets.append(labels)


def classification_columns(label_column: LabelColumn) -> tuple[str, ...]:
    """The columns of the documents that :func:`classification_examples` reads."""
    names = {"modules": ("name",), "completeness": ()}
    return ("id", "split", "text", *names.get(label_column, (label_column,)))


def classification_examples(
    documents: pa.Table, fractions: SplitFractions, label_column: LabelColumn
) -> dict[Split, LabeledTexts]:
    """Examples from the documents that have a label, or a list of labels that may be empty, by split, in their order.

    Args:
        documents: clean documents with the columns of :func:`classification_columns`.
        fractions: fractions of held-out documents; the same documents are held out as for the language model.
        label_column: the column with the labels.
    """
    examples = {split: LabeledTexts() for split in SPLITS}
    columns = [column for column in classification_columns(label_column) if column != "split"]
    for split, identity, text, *values in rows_by_split(documents, fractions, *columns):
        if label_column == "completeness":
            for example, label in complete_and_truncated(identity, text):
                examples[split].add(identity, example, (label,))
        elif (value := values[0]) is not None:
            labels = modules_of(value) if label_column == "modules" else [value] if isinstance(value, str) else value
            examples[split].add(identity, text, tuple(dict.fromkeys(labels)))
    return examples


def modules_of(name: str) -> list[str]:
    """The packages and modules that a dotted name lies in: ``a`` and ``a.b`` for ``a.b.c``."""
    parts = name.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]


def frequent_labels(label_sets: Iterable[Sequence[str]], min_examples: int) -> tuple[str, ...]:
    """Labels with at least ``min_examples`` examples, in alphabetical order: the classes."""
    counts = Counter(label for found in label_sets for label in found)
    return tuple(sorted(label for label, count in counts.items() if count >= min_examples))


def known_examples(examples: LabeledTexts, labels: Sequence[str], *, is_multi_label: bool) -> list[LabeledText]:
    """The texts with those of their labels that are known.

    If each text has one label, texts with other labels are left out; otherwise they stay, without a known label.
    """
    known = set(labels)
    pairs = zip(examples.texts, examples.label_sets, strict=True)
    chosen = [(text, tuple(label for label in found if label in known)) for text, found in pairs]
    return [(text, found) for text, found in chosen if found or is_multi_label]


def classification_sequence(
    classifier: Classifier, tokenizer: Tokenizer, example: LabeledText
) -> tuple[list[int], int | list[int]]:
    """Tokens of a text; and the index of its class, or for each class whether the text has it (1 or 0)."""
    text, found = example
    tokens = encode_for_classifier(classifier, tokenizer, text)
    if classifier.is_multi_label:
        return tokens, [int(label in found) for label in classifier.labels]
    (label,) = found
    return tokens, classifier.labels.index(label)
