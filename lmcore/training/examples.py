"""From supervised examples to token sequences with targets."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from lmcore.models.classifier import encode_for_classifier
from lmcore.models.prompt import PromptFormat, encode_prompt
from lmcore.text.supervised import CompletionExample, LabeledTexts
from lmcore.tokens.batches import IGNORED
from lmcore.tokens.tokenizer import Tokenizer

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


def completion_sequence(
    tokenizer: Tokenizer, example: CompletionExample, prompt_format: PromptFormat
) -> tuple[list[int], list[int]]:
    """Tokens of prompt and completion, and the next tokens as targets, those within the prompt not counting."""
    prompt = encode_prompt(tokenizer, example.prompt, prompt_format)
    completion = tokenizer.encode(example.completion)[: prompt_format.max_completion_tokens - 1]
    sequence = [*prompt, *completion, tokenizer.vocabulary.end_of_text_id]
    targets = [IGNORED] * (len(prompt) - 1) + sequence[len(prompt) :]
    return sequence[:-1], targets


def written_sequence(
    tokenizer: Tokenizer, example: CompletionExample, prompt_format: PromptFormat
) -> tuple[list[int], list[int]]:
    """Tokens of the prompt, which an encoder-decoder reads, and those of the completion, which it writes."""
    completion = tokenizer.encode(example.completion)[: prompt_format.max_completion_tokens - 1]
    return encode_prompt(tokenizer, example.prompt, prompt_format), [*completion, tokenizer.vocabulary.end_of_text_id]
