"""Examples to learn from that clean documents bring with them: their labels, and their summaries."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from lmcore.text.config import CompletionExamplesConfig, SplitFractions
from lmcore.text.split import SPLITS, Split, split_of


@dataclass(frozen=True, slots=True)
class LabeledTexts:
    """Texts and their labels, one for one."""

    texts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CompletionExample:
    """A document's id, its body as the prompt, and its summary as the completion."""

    id: str
    prompt: str
    completion: str


def classification_examples(documents: pa.Table, fractions: SplitFractions) -> dict[Split, LabeledTexts]:
    """Texts and labels of the documents that have a label, by split, in the order of the documents.

    Args:
        documents: with the columns ``id``, ``text`` and ``label``.
        fractions: held-out shares; the same documents are held out as from the language model.
    """
    examples = {split: LabeledTexts() for split in SPLITS}
    for identity, text, label in _rows(documents, "id", "text", "label"):
        if label is not None:
            split = examples[split_of(identity, fractions)]
            split.texts.append(text)
            split.labels.append(label)
    return examples


def completion_examples(
    documents: pa.Table, fractions: SplitFractions, config: CompletionExamplesConfig
) -> dict[Split, list[CompletionExample]]:
    """Pairs of body and summary, by split, in the order of the documents; see :func:`divide`."""
    examples: dict[Split, list[CompletionExample]] = {split: [] for split in SPLITS}
    for identity, text in _rows(documents, "id", "text"):
        divided = divide(text, config)
        if divided is not None:
            summary, body = divided
            examples[split_of(identity, fractions)].append(CompletionExample(identity, body, summary))
    return examples


def divide(text: str, config: CompletionExamplesConfig) -> tuple[str, str] | None:
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


def _rows(documents: pa.Table, *columns: str) -> Iterator[tuple[str, ...]]:
    return zip(*(documents[column].to_pylist() for column in columns), strict=True)
