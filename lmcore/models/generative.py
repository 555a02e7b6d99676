"""Models that generate text, token by token: what generation and evaluation may ask of any of them."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lmcore.errors import UserError
from lmcore.models.model import Model
from lmcore.models.state import ModelState, RecurrentState
from lmcore.models.trainable import StatefulModel

logger = logging.getLogger(__name__)

Integers = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GenerationInputs:
    """What a model reads before it generates its first token.

    Attributes:
        tokens: int64 of shape (batch, length), left-padded: the beginnings of the texts that the model continues.
        is_text: bool of shape (batch, length), false at padding; None if there is no padding.
        state: the model's state before ``tokens``.
    """

    tokens: Tensor
    is_text: Tensor | None
    state: ModelState


class GenerativeModel(Model):
    """A model that text can be generated with.

    Attributes:
        max_position_embeddings: the longest sequence in tokens; None if there is no limit.
    """

    max_position_embeddings: int | None

    reads_source: ClassVar[bool]
    """Whether a prompt is a source that the model reads apart from what it writes, not the beginning of its text."""

    @abstractmethod
    def framed(self, tokens: Sequence[int]) -> list[int]:
        """What the model reads of a text: its tokens, with the special tokens that surround them."""

    @abstractmethod
    def prepare_inputs(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> GenerationInputs:
        """The inputs of a generation of at most ``max_new_tokens`` for each of the prompts (any number and length).

        A prompt that is too long for the context is truncated.

        Raises:
            UserError: ``max_new_tokens`` leaves no room for any prompt.
        """

    @abstractmethod
    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: Any) -> Tensor:
        """Logits of the token after the last one, float32 of shape (batch, vocabulary).

        Args:
            tokens: int64 of shape (batch, length).
            mask: bool of shape (batch, positions), false at left padding; positions are those in the state and the new
                ones. None if there is no padding.
            state: the state before these tokens; the model advances it.
        """

    @abstractmethod
    def token_log_probabilities(self, tokens: Sequence[int]) -> list[float]:
        """The natural logarithm of the probability of each token of a text, given the tokens before it.

        Raises:
            UserError: the model assigns no probability to a text alone.
        """


class CausalModel(GenerativeModel):
    """A model that predicts each token from those before it."""

    objective = "next_token"
    reads_source = False

    @property
    def takes_drafts(self) -> bool:
        """Whether a text may be read with a draft of what follows it: the state can be truncated, and rounding is finer
        than the differences between logits."""
        return False

    @property
    def reads_alike(self) -> bool:
        """Whether tokens that are read at once have the same logits, except for the order of float32 sums, as tokens
        that are read one after another."""
        return self.takes_drafts

    @abstractmethod
    def new_state(self, batch_size: int) -> ModelState:
        """The state before the first token of ``batch_size`` sequences."""

    @abstractmethod
    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: ModelState | None = None) -> Tensor:
        """Next-token logits or log-probabilities, float32 of shape (batch, length, vocabulary).

        Args:
            tokens: int64 of shape (batch, length).
            mask: bool of shape (batch, positions), false at left padding; positions are those in the state and the new
                ones. None if there is no padding.
            state: the state before these tokens; the model advances it.

        Raises:
            UserError: the tokens, with those in the state, exceed the context.
        """

    def framed(self, tokens: Sequence[int]) -> list[int]:
        """The token that precedes every document, and the tokens of the text."""
        return [self.vocabulary.start_id, *tokens]

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: Any = None) -> Tensor:
        """Logits of the token after the last one, see :meth:`GenerativeModel.next_logits`."""
        logits: Tensor = self(tokens, mask=mask, state=state)[:, -1]
        return logits

    def prepare_inputs(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> GenerationInputs:
        """Left-padded prompts, see :meth:`GenerativeModel.prepare_inputs`.

        An empty prompt starts a new document; a too long one loses its first tokens.
        """
        limit = prompt_limit(self.max_position_embeddings, max_new_tokens)
        if limit is not None and (n_truncated := sum(len(prompt) > limit for prompt in prompts)):
            logger.warning(
                "%d of %d prompts are too long (up to %d tokens): with max_new_tokens %d, the context of %d has room "
                "for %d, so only their last tokens are used; shorten them, or lower max_new_tokens",
                n_truncated,
                len(prompts),
                max(map(len, prompts)),
                max_new_tokens,
                self.max_position_embeddings,
                limit,
            )
        start, padding = self.vocabulary.start_id, self.vocabulary.padding_id
        kept = [list(prompt if limit is None else prompt[-limit:]) or [start] for prompt in prompts]
        lengths = torch.tensor([len(prompt) for prompt in kept], device=self.device)
        longest = max(map(len, kept))
        tokens = torch.tensor([[padding] * (longest - len(prompt)) + prompt for prompt in kept], device=self.device)
        is_text = torch.arange(longest, device=self.device) >= (longest - lengths).unsqueeze(1)
        is_padded = len(set(map(len, kept))) > 1
        return GenerationInputs(tokens, is_text if is_padded else None, self.new_state(len(kept)))

    @torch.inference_mode()
    def token_log_probabilities(self, tokens: Sequence[int]) -> list[float]:
        """The log-probability of each token of a document from its start, see :class:`GenerativeModel`.

        A text longer than the context is read in windows that overlap by half, so that each token after the first
        window is predicted from at least half a context.
        """
        self.eval()
        inputs = self.framed(tokens[:-1])
        window = self.max_position_embeddings or max(len(tokens), 1)
        stride = max(window // 2, 1)
        values: list[float] = []
        while len(values) < len(tokens):
            start = 0 if len(values) < window else len(values) + stride - window
            end = min(start + window, len(tokens))
            logits = self(torch.tensor([inputs[start:end]], device=self.device))[0, len(values) - start :]
            targets = torch.tensor(tokens[len(values) : end], device=self.device)
            values += logits.log_softmax(dim=-1).gather(1, targets.unsqueeze(1)).squeeze(1).tolist()
        return values


class RecurrentModel(CausalModel, StatefulModel):
    """A causal model whose state training carries from batch to batch (truncated backpropagation through time,
    Mikolov et al. 2010)."""

    max_position_embeddings = None
    carries_state = True
    is_compilable = False

    @abstractmethod
    def new_state(self, batch_size: int) -> RecurrentState:
        """The state before the first token of ``batch_size`` sequences."""

    def loss(
        self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, document_ids: Tensor | None = None
    ) -> Tensor:
        """Summed loss of sequences that each start from the initial state, see :class:`TrainableModel`.

        Raises:
            UserError: there are ``document_ids``: the state would carry one document into the next.
        """
        if document_ids is not None:
            raise UserError(
                f"a model of class {type(self).__name__} carries its state from document to document, so it cannot "
                "train on packed documents: leave document_ids out, or use a Transformer"
            )
        return self.loss_and_state(tokens, targets, None, label_smoothing=label_smoothing)[0]


@dataclass(frozen=True)
class TokenScores:
    """What a model says about the tokens of documents, concatenated.

    Attributes:
        log_probabilities: float64 of shape (n_tokens,), natural logarithms.
        confidence: float64 of shape (n_tokens,), how sure the model was before it saw each token: the logarithm of a
            probability, such as that of the most probable token.
    """

    log_probabilities: Floats
    confidence: Floats


class CountedModel(CausalModel):
    """A causal model that is fitted by counting a corpus once, not by gradient descent."""

    @abstractmethod
    def fit(self, tokens: Integers, offsets: Integers) -> None:
        """Count a corpus.

        Args:
            tokens: integers of shape (n_tokens,), the documents concatenated, each with its end token.
            offsets: integers of shape (n_documents + 1,); document i is ``tokens[offsets[i]:offsets[i + 1]]``.
        """

    @abstractmethod
    def score_documents(self, documents: Sequence[Integers]) -> TokenScores:
        """Score every token of whole documents, much faster than :meth:`forward`."""

    @property
    @abstractmethod
    def n_entries(self) -> int:
        """The size of the model: how many distinct events it has counted."""


def prompt_limit(max_position_embeddings: int | None, max_new_tokens: int) -> int | None:
    """The longest prompt in tokens that fits the context together with the answer; None if there is no limit.

    Raises:
        UserError: the answer leaves no room for a prompt.
    """
    if max_position_embeddings is None:
        return None
    if max_new_tokens >= max_position_embeddings:
        raise UserError(
            f"max_new_tokens {max_new_tokens} leaves no room for a prompt in the context of "
            f"{max_position_embeddings}: expected at most {max_position_embeddings - 1}"
        )
    return max_position_embeddings - max_new_tokens
