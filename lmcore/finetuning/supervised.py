"""Supervised examples from clean documents: their labels, summaries and targets."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lmcore.config.base import Split
from lmcore.config.finetune import CompletionExamples, SummaryExamples
from lmcore.config.tokenize import SplitFractions
from lmcore.text.split import SPLITS, splits_of

CLASSIFICATION_COLUMNS = ("id", "split", "text", "label")
COMPLETION_COLUMNS = ("id", "split", "text", "target")


@dataclass(frozen=True, slots=True)
class LabeledTexts:
    """The ids, texts and labels of documents, in the same order."""

    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CompletionExample:
    """A prompt with its expected completion, and the id of the document that they are from."""

    id: str
    prompt: str
    completion: str


def classification_examples(documents: pa.Table, fractions: SplitFractions) -> dict[Split, LabeledTexts]:
    """The documents that have a label, by split, in their order.

    Args:
        documents: clean documents with the columns :data:`CLASSIFICATION_COLUMNS`.
        fractions: fractions of held-out documents; the same documents are held out as for the language model.
    """
    examples = {split: LabeledTexts() for split in SPLITS}
    for split, identity, text, label in _rows(documents, fractions, "id", "text", "label"):
        if label is not None:
            examples[split].ids.append(identity)
            examples[split].texts.append(text)
            examples[split].labels.append(label)
    return examples


def completion_examples(
    documents: pa.Table, fractions: SplitFractions, config: CompletionExamples
) -> dict[Split, list[CompletionExample]]:
    """Prompts with completions, by split, in the order of the documents.

    Args:
        documents: clean documents with the columns :data:`COMPLETION_COLUMNS`.
        fractions: fractions of held-out documents, as for the language model.
        config: whether completions are targets of documents or summaries (:func:`split_summary`).
    """
    examples: dict[Split, list[CompletionExample]] = {split: [] for split in SPLITS}
    for split, identity, text, target in _rows(documents, fractions, "id", "text", "target"):
        if isinstance(config, SummaryExamples):
            completion, prompt = split_summary(text, config) or (None, text)
        else:
            completion, prompt = target, text
        if completion is not None:
            examples[split].append(CompletionExample(identity, prompt, completion))
    return examples


def split_summary(text: str, config: SummaryExamples) -> tuple[str, str] | None:
    """Split a text into its summary and its body; ``None`` if it does not have both.

    The summary is the first paragraph (PEP 257), its lines joined to one; the body is everything after it. A body that
    repeats the summary is not used, since copying would solve the example. An underlined heading is not a summary.
    """
    first, _, body = text.partition("\n\n")
    summary, body = " ".join(first.split()), body.strip("\n")
    if any(line and not line.strip("-=~ ") for line in first.splitlines()):
        return None
    fits = config.min_summary_characters <= len(summary) <= config.max_summary_characters
    if not fits or len(body) < config.min_body_characters or summary in " ".join(body.split()):
        return None
    return summary, body


def _rows(documents: pa.Table, fractions: SplitFractions, *columns: str) -> Iterator[tuple[Any, ...]]:
    """The split of each document, followed by the values of the given columns."""
    return zip(splits_of(documents, fractions), *(documents[column].to_pylist() for column in columns), strict=True)
