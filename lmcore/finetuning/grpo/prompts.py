"""Prompts whose answers can be checked, and their batches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from lmcore.finetuning.chat.examples import Conversation
from lmcore.models.chat_template import ChatTemplate
from lmcore.tokens.batches.batches import Batch, drawn_examples, padded


@dataclass(frozen=True, slots=True)
class VerifiablePrompt:
    """The tokens of a prompt, its last message for a reader, and the expected answer."""

    tokens: list[int]
    question: str
    expected: str


def verifiable_prompts(
    conversations: Iterable[Conversation], template: ChatTemplate, *, max_prompt_tokens: int
) -> list[VerifiablePrompt]:
    """The prompts of conversations whose last answer is the expected one; longer prompts are left out."""
    prompts = (
        VerifiablePrompt(template.prompt(found.prompt), found.prompt[-1].content if found.prompt else "", found.answer)
        for found in conversations
    )
    return [prompt for prompt in prompts if len(prompt.tokens) <= max_prompt_tokens]


class PromptBatches:
    """Batches of prompts, in an order that is a pure function of seed and step.

    A batch holds tokens, int64 (batch, length), for the identity of the training, and as targets the indices of the
    prompts among all of them, int64 (batch,): training prompts first, then those for validation. For every further
    update of the weights on the same answers, the batch is repeated and marked as continuing.

    Args:
        training: the training prompts.
        validation: the validation prompts.
        batch_size: prompts per batch.
        num_iterations: updates of the weights per batch.
        seed: seed of the order.
        padding: token id to pad with.

    Attributes:
        prompts: all prompts.
    """

    def __init__(
        self,
        training: Sequence[VerifiablePrompt],
        validation: Sequence[VerifiablePrompt],
        *,
        batch_size: int,
        num_iterations: int,
        seed: int,
        padding: int,
    ) -> None:
        self.prompts = [*training, *validation]
        self.n_examples, self.batch_size = len(training), batch_size
        self.batches_per_epoch = len(training) / batch_size * num_iterations
        self._num_iterations, self._seed, self._padding = num_iterations, seed, padding

    def training_batch(self, step: int) -> Batch:
        """The batch of a step."""
        number, iteration = divmod(step, self._num_iterations)
        rows = drawn_examples(self.n_examples, self._seed, number * self.batch_size, self.batch_size)
        return self._batch(rows.tolist(), continues=iteration > 0)

    def validation_batches(self) -> Iterator[Batch]:
        """Yield all validation prompts, in order."""
        for start in range(self.n_examples, len(self.prompts), self.batch_size):
            yield self._batch(list(range(start, min(start + self.batch_size, len(self.prompts)))), continues=False)

    def _batch(self, rows: list[int], *, continues: bool) -> Batch:
        tokens = padded([(self.prompts[row].tokens, 0) for row in rows], self._padding).tokens
        return Batch(tokens, torch.tensor(rows), continues)
