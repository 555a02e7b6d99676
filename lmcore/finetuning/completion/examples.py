"""Prompts and completions from documents: their targets, or their summaries."""

from dataclasses import dataclass

import pyarrow as pa

from lmcore.config.base import Split
from lmcore.config.completion import CompletionExamples, SummaryExamples
from lmcore.config.tokenize import SplitFractions
from lmcore.finetuning.examples import rows_by_split
from lmcore.text.split import SPLITS

COMPLETION_COLUMNS = ("id", "split", "text", "target")


@dataclass(frozen=True, slots=True)
class CompletionExample:
    """A prompt with its expected completion, and the id of the document that they are from."""

    id: str
    prompt: str
    completion: str


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
    for split, identity, text, target in rows_by_split(documents, fractions, "id", "text", "target"):
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
