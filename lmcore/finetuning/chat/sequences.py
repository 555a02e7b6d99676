"""Conversations as token sequences whose targets are the assistant's answers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lmcore.finetuning.chat.examples import Conversation
from lmcore.models.chat_template import ChatTemplate, Turn
from lmcore.tokens.batches.batches import IGNORED

Sequence = tuple[list[int], list[int]]
"""Input tokens and targets of an example, for :class:`~lmcore.tokens.batches.batches.ExampleBatches`."""


@dataclass
class ChatSequences:
    """Conversations as token sequences.

    Attributes:
        sequences: the examples.
        n_cut: conversations longer than the limit, whose last tokens are left out; the model learns neither these nor
            an end of the truncated answer.
        n_without_answer: conversations of which no part of an answer is left; they are not used.
    """

    sequences: list[Sequence] = field(default_factory=list)
    n_cut: int = 0
    n_without_answer: int = 0


def chat_sequences(
    conversations: Iterable[Conversation], template: ChatTemplate, *, max_tokens: int, reads_source: bool
) -> ChatSequences:
    """Encode conversations as input tokens and targets; only the answers of the assistant are targets.

    Args:
        conversations: what to learn from.
        template: the model's chat template.
        max_tokens: the longest sequence.
        reads_source: whether the model is an encoder-decoder. It gets an example per answer: the conversation so far
            as the source (of a longer one, the last ``max_tokens``), and the answer as the targets.
    """
    found = ChatSequences()
    for conversation in conversations:
        turns = template.turns(conversation.messages)
        if reads_source:
            _add_answers(found, turns, max_tokens)
        else:
            _add_whole(found, turns, max_tokens)
    return found


def _add_whole(found: ChatSequences, turns: list[Turn], max_tokens: int) -> None:
    tokens = [token for turn in turns for token in turn.tokens]
    targets = [token if turn.is_answer else IGNORED for turn in turns for token in turn.tokens]
    # The target of a token is the next one; the last token predicts nothing.
    tokens, targets = tokens[:-1], targets[1:]
    found.n_cut += len(tokens) > max_tokens
    tokens, targets = tokens[:max_tokens], targets[:max_tokens]
    if all(target == IGNORED for target in targets):
        found.n_without_answer += 1
    else:
        found.sequences.append((tokens, targets))


def _add_answers(found: ChatSequences, turns: list[Turn], max_tokens: int) -> None:
    for source, answer in _sources_and_answers(turns):
        found.n_cut += len(source) > max_tokens or len(answer) > max_tokens
        found.sequences.append((source[-max_tokens:], answer[:max_tokens]))


def _sources_and_answers(turns: list[Turn]) -> Iterator[tuple[list[int], list[int]]]:
    before: list[int] = []
    for turn in turns:
        if turn.is_answer:
            yield before, turn.tokens
        before = before + turn.tokens
