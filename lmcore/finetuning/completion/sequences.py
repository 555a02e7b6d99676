"""Prompts and completions as token sequences with targets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lmcore.finetuning.completion.examples import CompletionExample
from lmcore.models.prompt import PromptFormat, encode_prompt_and_count
from lmcore.tokens.batches.batches import IGNORED
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


@dataclass
class CompletionSequences:
    """Prompts and completions as token sequences, and how many of them were truncated.

    Attributes:
        sequences: input tokens and targets of each example, for
            :class:`~lmcore.tokens.batches.batches.ExampleBatches`.
        answer_lengths: length of each completion in tokens before truncation, its end token included.
        n_cut_answers: completions longer than ``max_completion_tokens``; they are truncated and lose their end token.
        n_cut_prompts: prompts longer than ``max_prompt_tokens``.
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
    """Encode prompts and completions as input tokens and targets.

    Args:
        tokenizer: the model's tokenizer.
        examples: prompts and completions to learn from.
        prompt_format: the format of a prompt, and the maximum lengths of prompt and completion.
        reads_prompts: whether the model is an encoder-decoder, whose encoder reads the prompt. Otherwise prompt and
            completion follow each other in one sequence, and targets within the prompt are ignored.
    """
    found = CompletionSequences()
    longest = prompt_format.max_completion_tokens
    before = "" if reads_prompts else prompt_format.before_completion
    for example in examples:
        prompt, n_prompt_tokens = encode_prompt_and_count(tokenizer, example.values, prompt_format)
        completion = [*tokenizer.encode(before + example.completion), tokenizer.vocabulary.end_of_text_id]
        found.answer_lengths.append(len(completion))
        found.n_cut_answers += len(completion) > longest
        found.n_cut_prompts += n_prompt_tokens > prompt_format.max_prompt_tokens
        # The end token is truncated too: the model must not learn to end in the middle of a completion.
        kept = completion[:longest]
        found.sequences.append((prompt, kept) if reads_prompts else _continued(prompt, kept))
    return found


def _continued(prompt: Sequence[int], completion: Sequence[int]) -> tuple[list[int], list[int]]:
    """Tokens of prompt and completion, and the next tokens as targets, ignored within the prompt."""
    sequence = [*prompt, *completion]
    return sequence[:-1], [IGNORED] * (len(prompt) - 1) + sequence[len(prompt) :]
