"""Labeled documents, and their token sequences."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from lmcore.config.base import Split
from lmcore.config.tokenize import SplitFractions
from lmcore.finetuning.classification.classifier import encode_for_classifier
from lmcore.finetuning.examples import rows_by_split
from lmcore.text.split import SPLITS
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

CLASSIFICATION_COLUMNS = ("id", "split", "text", "label")


@dataclass(frozen=True, slots=True)
class LabeledTexts:
    """The ids, texts and labels of documents, in the same order."""

    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


def classification_examples(documents: pa.Table, fractions: SplitFractions) -> dict[Split, LabeledTexts]:
    """The documents that have a label, by split, in their order.

    Args:
        documents: clean documents with the columns :data:`CLASSIFICATION_COLUMNS`.
        fractions: fractions of held-out documents; the same documents are held out as for the language model.
    """
    examples = {split: LabeledTexts() for split in SPLITS}
    for split, identity, text, label in rows_by_split(documents, fractions, "id", "text", "label"):
        if label is not None:
            examples[split].ids.append(identity)
            examples[split].texts.append(text)
            examples[split].labels.append(label)
    return examples


def frequent_labels(labels: Iterable[str], min_examples: int) -> tuple[str, ...]:
    """Labels with at least ``min_examples`` examples, in alphabetical order: the classes."""
    return tuple(sorted(label for label, count in Counter(labels).items() if count >= min_examples))


def labeled_pairs(examples: LabeledTexts, labels: Sequence[str]) -> list[tuple[str, str]]:
    """The (text, label) pairs with one of the given labels."""
    known = set(labels)
    return [pair for pair in zip(examples.texts, examples.labels, strict=True) if pair[1] in known]


def classification_sequence(
    tokenizer: Tokenizer, text: str, label: str, labels: Sequence[str], max_tokens: int
) -> tuple[list[int], int]:
    """Tokens of a text and the index of its class."""
    return encode_for_classifier(tokenizer, text, max_tokens), labels.index(label)
