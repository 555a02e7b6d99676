"""Pairs of a chosen and a rejected answer as token sequences, and their batches."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lmcore.finetuning.chat.examples import Conversation
from lmcore.finetuning.policy import as_example, target_log_probabilities
from lmcore.models.chat_template import ChatTemplate
from lmcore.models.trainable import TrainableModel
from lmcore.text.documents.messages import Message
from lmcore.tokens.batches.batches import Batch, Example, drawn_examples, padded

Pair = tuple[Example, Example]
"""The chosen and the rejected answer, each after its prompt."""


@dataclass
class EncodedPairs:
    """Pairs as token sequences.

    Attributes:
        pairs: the examples.
        ids: the document of each of them.
        n_too_long: pairs longer than the limit, which are not used.
    """

    pairs: list[Pair] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    n_too_long: int = 0


def encode_pairs(
    conversations: Iterable[Conversation], template: ChatTemplate, *, max_tokens: int, reads_source: bool
) -> EncodedPairs:
    """Encode the conversations that have a rejected answer; only the last answers are targets."""
    found = EncodedPairs()
    for conversation in conversations:
        if conversation.rejected is None:
            continue
        prompt = template.prompt(conversation.prompt)
        pair = tuple(
            as_example(prompt, _last_answer(template, conversation.prompt, answer), reads_source=reads_source)
            for answer in (conversation.answer, conversation.rejected)
        )
        if any(max(len(tokens), len(targets)) > max_tokens for tokens, targets in pair):
            found.n_too_long += 1
        else:
            found.pairs.append((pair[0], pair[1]))
            found.ids.append(conversation.id)
    return found


def _last_answer(template: ChatTemplate, prompt: Sequence[Message], answer: str) -> list[int]:
    return template.turns([*prompt, Message("assistant", answer)])[-1].tokens


@dataclass(frozen=True)
class PreferenceBatch(Batch):
    """Pairs of answers: every chosen one is followed by the rejected one.

    Attributes:
        references: float32 (batch,), the log-probability of each answer under the reference model.
    """

    references: Tensor | None = None

    @property
    def n_targets(self) -> int:
        """Number of pairs."""
        return len(self.tokens) // 2


class PreferenceBatches:
    """Batches of pairs in an order that is a pure function of seed and step.

    Args:
        training: the training pairs.
        validation: the validation pairs.
        training_references: float32 (n_pairs, 2), the log-probabilities of the training answers under the reference.
        validation_references: the same for validation.
        batch_size: pairs per batch.
        seed: seed of the order.
        padding: token id to pad with.
    """

    def __init__(
        self,
        training: Sequence[Pair],
        validation: Sequence[Pair],
        training_references: Tensor,
        validation_references: Tensor,
        *,
        batch_size: int,
        seed: int,
        padding: int,
    ) -> None:
        self.n_examples, self.batch_size = len(training), batch_size
        self.batches_per_epoch = len(training) / batch_size
        self._training, self._validation = training, validation
        self._training_references, self._validation_references = training_references, validation_references
        self._seed, self._padding = seed, padding

    def training_batch(self, step: int) -> PreferenceBatch:
        """The batch of a step."""
        rows = drawn_examples(self.n_examples, self._seed, step * self.batch_size, self.batch_size).tolist()
        return preference_batch([self._training[row] for row in rows], self._training_references[rows], self._padding)

    def validation_batches(self) -> Iterator[PreferenceBatch]:
        """Yield all validation pairs, in order."""
        for start in range(0, len(self._validation), self.batch_size):
            part = slice(start, start + self.batch_size)
            yield preference_batch(self._validation[part], self._validation_references[part], self._padding)


def preference_batch(pairs: Sequence[Pair], references: Tensor, padding: int) -> PreferenceBatch:
    """Pairs with their reference log-probabilities (n_pairs, 2) as a batch."""
    batch = padded([example for pair in pairs for example in pair], padding)
    return PreferenceBatch(batch.tokens, batch.targets, references=references.reshape(-1))


@torch.no_grad()
def pair_log_probabilities(model: TrainableModel, pairs: Sequence[Pair], *, batch_size: int) -> Tensor:
    """The log-probability of the chosen and the rejected answer of each pair, float32 (n_pairs, 2), on the CPU."""
    model.eval()
    padding = model.vocabulary.padding_id
    found = [torch.empty(0, 2)]
    for number in range(math.ceil(len(pairs) / batch_size)):
        examples = [example for pair in pairs[number * batch_size : (number + 1) * batch_size] for example in pair]
        batch = padded(examples, padding).to(model.device)
        found.append(target_log_probabilities(model, batch.tokens, batch.targets).sum(dim=1).reshape(-1, 2).cpu())
    return torch.cat(found)
