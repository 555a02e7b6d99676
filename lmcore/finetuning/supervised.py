"""Examples to learn from that clean documents bring with them: labels, summaries, targets."""

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
    """Documents' ids, texts and labels, one for one."""

    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CompletionExample:
    """A document's id, what is asked, and what is to be answered."""

    id: str
    prompt: str
    completion: str


def classification_examples(documents: pa.Table, fractions: SplitFractions) -> dict[Split, LabeledTexts]:
    """Texts and labels of the documents that have a label, by split, in the order of the documents.

    Args:
        documents: with the columns of :data:`CLASSIFICATION_COLUMNS`.
        fractions: held-out shares; the same documents are held out as from the language model.
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
    """Pairs of prompt and completion, by split, in the order of the documents.

    Args:
        documents: with the columns of :data:`COMPLETION_COLUMNS`.
        fractions: held-out shares, as for the language model.
        config: where the pairs come from; for summaries see :func:`split_summary`.
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
    """Divide a text into its summary and its body, or ``None`` where it has not both.

    The summary is the first paragraph (PEP 257), its lines joined to one; the body is all that follows. A body
    that repeats the summary is no example: whoever copies would be right. An underlined heading is no summary.
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
    """The split of each document and some of its columns."""
    return zip(splits_of(documents, fractions), *(documents[column].to_pylist() for column in columns), strict=True)
