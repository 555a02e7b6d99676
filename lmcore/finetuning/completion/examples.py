"""Prompts and completions from documents: their targets, their summaries, or their documented parameters."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lmcore.config.base import Split
from lmcore.config.completion import (
    CompletionExamples,
    ParameterExtraction,
    ParameterQuestions,
    SummaryExamples,
    TargetExamples,
)
from lmcore.config.tokenize import SplitFractions
from lmcore.errors import UserError
from lmcore.finetuning.completion.docstring_parameters import documented_parameters
from lmcore.finetuning.examples import rows_by_split
from lmcore.text.split import SPLITS

VARIABLES = ("text", "label", "name", "kind", "package", "path", "source", "language")
"""The columns of a document that a prompt may use; the target is not one of them, since the model is to write it."""
QUESTION = "What is the type of the parameter {name}?"


@dataclass(frozen=True, slots=True)
class CompletionExample:
    """The values of a prompt's variables with the expected completion, and the id of the document that they are from.

    A document may give several examples: questions about one context.
    """

    id: str
    values: Mapping[str, str]
    completion: str


def completion_columns(variables: Sequence[str]) -> tuple[str, ...]:
    """The columns of the documents that :func:`completion_examples` reads for a prompt with these variables."""
    return tuple(dict.fromkeys(("id", "split", "text", "target", *(name for name in VARIABLES if name in variables))))


def completion_examples(
    documents: pa.Table, fractions: SplitFractions, config: CompletionExamples
) -> dict[Split, list[CompletionExample]]:
    """Prompts with completions, by split, in the order of the documents.

    Args:
        documents: clean documents with the columns of :func:`completion_columns`.
        fractions: fractions of held-out documents, as for the language model.
        config: what the examples are.
    """
    examples: dict[Split, list[CompletionExample]] = {split: [] for split in SPLITS}
    rows = rows_by_split(documents, fractions, "id", "target")
    for (split, identity, target), values in zip(rows, document_values(documents), strict=True):
        examples[split] += [
            CompletionExample(identity, values | own, completion) for own, completion in _pairs(values, target, config)
        ]
    return examples


def document_values(documents: pa.Table) -> Iterator[dict[str, str]]:
    """The variables that each document gives to a prompt: its columns among :data:`VARIABLES`, empty if null."""
    names = [name for name in VARIABLES if name in documents.column_names]
    for row in zip(*(documents[name].to_pylist() for name in names), strict=True):
        yield {name: value or "" for name, value in zip(names, row, strict=True)}


def check_variables(variables: Sequence[str], examples: Mapping[Split, Sequence[CompletionExample]]) -> None:
    """Check that every variable of a prompt has a value.

    Raises:
        UserError: naming the variables without a value, and those that exist.
    """
    first = next((example for split in SPLITS for example in examples[split]), None)
    missing = [] if first is None else sorted(set(variables) - set(first.values))
    if missing and first is not None:
        known = sorted({*first.values, *VARIABLES})
        raise UserError(f"the prompt uses {', '.join(missing)}, but these examples have only {', '.join(known)}")


def _pairs(
    values: Mapping[str, str], target: str | None, config: CompletionExamples
) -> Iterator[tuple[dict[str, str], str]]:
    """The variables and the completion of each example of a document."""
    match config:
        case TargetExamples():
            if target is not None:
                yield _divided(values["text"], config.question_separator), target
        case SummaryExamples():
            if (parts := split_summary(values["text"], config)) is not None:
                yield {"text": parts[1]}, parts[0]
        case ParameterQuestions():
            yield from _questions(values["text"], config)
        case ParameterExtraction():
            found = documented_parameters(values["text"])
            for text, types in found.runs(config.max_parameters) if found else ():
                if len(text) <= config.max_text_characters:
                    yield {"text": text}, json.dumps(types, ensure_ascii=False)


def _divided(text: str, question_separator: str | None) -> dict[str, str]:
    """The context and the question in a text; a text without the separator is a question without a context."""
    if question_separator is None:
        return {}
    context, _, question = text.rpartition(question_separator)
    return {"context": context, "question": question}


def _questions(text: str, config: ParameterQuestions) -> Iterator[tuple[dict[str, Any], str]]:
    """A question for each of the first parameters."""
    found = documented_parameters(text)
    if found and len(found.section) <= config.max_context_characters:
        for name, kind in list(found.types.items())[: config.max_questions_per_document]:
            yield {"context": found.section, "question": QUESTION.format(name=name), "parameter": name}, kind


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
