"""From supervised examples to token sequences with targets."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from lmcore.finetuning.classifier import encode_for_classifier
from lmcore.finetuning.supervised import CompletionExample, LabeledTexts
from lmcore.models.prompt import PromptFormat, encode_prompt_and_count
from lmcore.tokens.batches.batches import IGNORED
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

Item = TypeVar("Item")


def frequent_labels(labels: Iterable[str], min_examples: int) -> tuple[str, ...]:
    """Labels with at least ``min_examples`` examples, in alphabetical order: the classes."""
    return tuple(sorted(label for label, count in Counter(labels).items() if count >= min_examples))


def choose_examples(examples: Sequence[Item], max_examples: int, seed: int) -> list[Item]:
    """At most ``max_examples`` of the examples, drawn without replacement, in their order."""
    if len(examples) <= max_examples:
        return list(examples)
    drawn = np.random.default_rng(seed).choice(len(examples), size=max_examples, replace=False)
    return [examples[index] for index in sorted(drawn)]


def labeled_pairs(examples: LabeledTexts, labels: Sequence[str]) -> list[tuple[str, str]]:
    """The (text, label) pairs whose label is one of ``labels``."""
    known = set(labels)
    return [pair for pair in zip(examples.texts, examples.labels, strict=True) if pair[1] in known]


def classification_sequence(
    tokenizer: Tokenizer, text: str, label: str, labels: Sequence[str], max_tokens: int
) -> tuple[list[int], int]:
    """Tokens of a text and the number of its class."""
    return encode_for_classifier(tokenizer, text, max_tokens), labels.index(label)


@dataclass
class CompletionSequences:
    """Prompts and answers as token sequences, and what of them did not fit.

    Attributes:
        sequences: what :class:`~lmcore.tokens.batches.batches.ExampleBatches` takes.
        answer_lengths: in tokens, end token included, before anything was cut.
        n_cut_answers: how many answers are longer than ``max_completion_tokens``: they are cut, and have no end token.
        n_cut_prompts: how many prompts are longer than ``max_prompt_tokens``.
    """

    sequences: list[tuple[list[int], list[int]]] = field(default_factory=list)
    answer_lengths: list[int] = field(default_factory=list)
    n_cut_answers: int = 0
    n_cut_prompts: int = 0


def completion_sequences(
    tokenizer: Tokenizer,
    examples: Iterable[CompletionExample],
    prompt_format: PromptFormat,
    *,
    reads_prompts: bool,
) -> CompletionSequences:
    """Prompts and completions as sequences of tokens and targets.

    Args:
        tokenizer: of the model.
        examples: what is to be learned.
        prompt_format: how a prompt is asked, and how long prompt and answer may be.
        reads_prompts: for a model that reads the prompt and writes the completion (an encoder-decoder); otherwise both
            follow each other in one sequence, whose targets within the prompt do not count.
    """
    found = CompletionSequences()
    longest = prompt_format.max_completion_tokens
    for example in examples:
        prompt, n_prompt_tokens = encode_prompt_and_count(tokenizer, example.prompt, prompt_format)
        answer = [*tokenizer.encode(example.completion), tokenizer.vocabulary.end_of_text_id]
        found.answer_lengths.append(len(answer))
        found.n_cut_answers += len(answer) > longest
        found.n_cut_prompts += n_prompt_tokens > prompt_format.max_prompt_tokens
        # The end token is cut off as well: an answer that goes on must not be learned as one that ends.
        kept = answer[:longest]
        found.sequences.append((prompt, kept) if reads_prompts else _continued(prompt, kept))
    return found


def _continued(prompt: Sequence[int], answer: Sequence[int]) -> tuple[list[int], list[int]]:
    """Tokens of prompt and answer, and the next tokens as targets, those within the prompt not counting."""
    sequence = [*prompt, *answer]
    return sequence[:-1], [IGNORED] * (len(prompt) - 1) + sequence[len(prompt) :]
