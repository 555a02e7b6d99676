"""The n-gram model as a causal model, fitted by counting."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from torch import Tensor

from lmcore.config.models import NgramConfig
from lmcore.errors import UserError
from lmcore.models.generative import CountedModel, TokenScores
from lmcore.models.ngram.counts import Integers
from lmcore.models.ngram.kneser_ney import KneserNey
from lmcore.models.state import ModelState
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

NO_TOKEN = -1
"""Left padding of contexts that are shorter than the longest."""
MAX_BACKOFF = 0.999
"""Upper bound of the backed-off probability mass, so that the confidence stays finite."""


@dataclass
class NgramState:
    """The last tokens of each sequence: int64 of shape (batch, order - 1)."""

    contexts: Tensor
    length: int = 0

    def select(self, rows: Tensor) -> None:
        """Select rows of the batch by index (int64, any order, repeats allowed)."""
        self.contexts = self.contexts[rows]

    def fork(self, n_continuations: int, is_text: Tensor | None = None) -> None:
        """Repeat every row, see :meth:`ModelState.fork`."""
        self.contexts = self.contexts.repeat_interleave(n_continuations, dim=0)


class NgramModel(CountedModel):
    """An interpolated modified Kneser-Ney model, empty before :meth:`fit`.

    Args:
        config: the model's order.
        vocabulary: the tokenizer's vocabulary; the end-of-text token is the context of a text's first token.
    """

    config: NgramConfig
    max_position_embeddings = None

    def __init__(self, config: NgramConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self._kneser_ney: KneserNey | None = None

    @property
    def device(self) -> torch.device:
        """The CPU, always."""
        return torch.device("cpu")

    @property
    def kneser_ney(self) -> KneserNey:
        """The smoothed counts.

        Raises:
            UserError: the model is not fitted yet.
        """
        if self._kneser_ney is None:
            raise UserError("this n-gram model is not fitted yet: call fit() or load_weights() first")
        return self._kneser_ney

    def fit(self, tokens: Integers, offsets: Integers, *, continued: npt.NDArray[np.bool_] | None = None) -> None:
        """Count a corpus; arguments and errors as for :meth:`KneserNey.train`."""
        self._kneser_ney = KneserNey.train(
            tokens,
            offsets,
            order=self.config.order,
            vocabulary_size=self.vocabulary.size,
            start_token=self.vocabulary.end_of_text_id,
            continued=continued,
        )

    def score_documents(self, documents: Sequence[Integers]) -> TokenScores:
        """Score every token of whole documents, thousands of times faster than :meth:`forward`.

        The confidence is the logarithm of the probability mass that the longest known context does not back off.
        """
        found = self.kneser_ney.score(documents)
        return TokenScores(found.log_probabilities, np.log1p(-np.minimum(found.backoff, MAX_BACKOFF)))

    def most_frequent_next(self, text: Sequence[int]) -> int | None:
        """A draft of the token after ``text``, much faster than :meth:`next_logits`; None if nothing is known."""
        return self.kneser_ney.most_frequent_next(text)

    @property
    def n_entries(self) -> int:
        """The number of distinct n-grams of all lengths."""
        return sum(self.kneser_ney.n_ngrams)

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: ModelState | None = None) -> Tensor:
        """Next-token log-probabilities, see :class:`CausalModel`; a sequence that is all padding is at its start."""
        contexts = list(self._contexts(tokens, mask, state))
        return torch.stack([self._log_probabilities(context) for context in contexts], dim=1)

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: Any = None) -> Tensor:
        """Log-probabilities of the token after the last one, see :class:`CausalModel`."""
        *_, last = self._contexts(tokens, mask, state)
        return self._log_probabilities(last)

    def new_state(self, batch_size: int) -> NgramState:
        """Empty contexts."""
        return NgramState(torch.full((batch_size, self.config.order - 1), NO_TOKEN))

    def save_weights(self, path: Path) -> None:
        """Write the counts as safetensors."""
        self.kneser_ney.save(path)

    def load_weights(self, path: Path) -> None:
        """Load the counts that :meth:`save_weights` wrote.

        Raises:
            UserError: the file is corrupt, or has another order, vocabulary size or start token.
        """
        try:
            kneser_ney = KneserNey.load(path)
        except (SafetensorError, KeyError) as error:
            raise UserError(f"{path} is damaged ({error}): restore it, or fit the model again") from None
        found = (kneser_ney.order, kneser_ney.vocabulary_size, kneser_ney.start_token)
        expected = (self.config.order, self.vocabulary.size, self.vocabulary.end_of_text_id)
        if found != expected:
            raise UserError(
                f"{path} does not fit its config.json and tokenizer.json: order, vocabulary size and start "
                f"token are {found}, not {expected}"
            )
        self._kneser_ney = kneser_ney

    def _contexts(self, tokens: Tensor, mask: Tensor | None, state: ModelState | None) -> Iterator[Tensor]:
        """The context (batch, order - 1) after each of the tokens; advances the state at the end."""
        before = state if isinstance(state, NgramState) else self.new_state(len(tokens))
        context, length = before.contexts, before.length
        for position in range(tokens.size(1)):
            extended = torch.cat((context, tokens[:, position : position + 1]), dim=1)[:, 1:]
            is_text = None if mask is None else mask[:, length + position : length + position + 1]
            context = extended if is_text is None else extended.where(is_text, context)
            yield context
        before.contexts, before.length = context, length + tokens.size(1)

    def _log_probabilities(self, contexts: Tensor) -> Tensor:
        """Next-token log-probabilities, float32 of shape (batch, vocabulary), after contexts (batch, order - 1)."""
        rows = [[token for token in context if token != NO_TOKEN] for context in contexts.tolist()]
        probabilities = np.stack([self.kneser_ney.distribution(row) for row in rows])
        return torch.from_numpy(np.log(probabilities)).float()
