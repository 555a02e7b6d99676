"""The n-gram model behind the interface of all causal models: it is counted, not trained by gradient."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from torch import Tensor

from lmcore.config.models import NgramConfig
from lmcore.errors import UserError
from lmcore.models.causal import CausalModel, State
from lmcore.models.ngram.counts import Integers
from lmcore.models.ngram.kneser_ney import KneserNey, NgramScores
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

NOTHING = -1
"""Fills up, on the left, contexts that are shorter than the longest."""


@dataclass
class NgramState:
    """The last tokens of each sequence: int64 (batch, order - 1)."""

    contexts: Tensor
    length: int = 0

    def select(self, rows: Tensor) -> None:
        """Select rows of the batch by index (int64, any order, repeats allowed)."""
        self.contexts = self.contexts[rows]

    def fork(self, n_continuations: int, is_text: Tensor | None = None) -> None:
        """Repeat every row, see :class:`State`."""
        self.contexts = self.contexts.repeat_interleave(n_continuations, dim=0)


class NgramModel(CausalModel):
    """An interpolated modified Kneser-Ney model of tokens; it knows nothing before :meth:`fit`.

    Args:
        config: its order.
        vocabulary: of its tokens; the end-of-text token also stands before the first token of a text.
    """

    config: NgramConfig
    max_position_embeddings = None

    def __init__(self, config: NgramConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self._counted: KneserNey | None = None

    @property
    def device(self) -> torch.device:
        """The processor, always."""
        return torch.device("cpu")

    @property
    def counted(self) -> KneserNey:
        """The model proper.

        Raises:
            ValueError: if there is none yet.
        """
        if self._counted is None:
            raise UserError("this n-gram model is not fitted yet: call fit() or load_weights() first")
        return self._counted

    def fit(self, tokens: Integers, offsets: Integers, *, continued: npt.NDArray[np.bool_] | None = None) -> None:
        """Count a corpus; arguments and errors as for :meth:`KneserNey.train`."""
        self._counted = KneserNey.train(
            tokens,
            offsets,
            order=self.config.order,
            vocabulary_size=self.vocabulary.size,
            start_token=self.vocabulary.end_of_text_id,
            continued=continued,
        )

    def score(self, documents: Sequence[Integers]) -> NgramScores:
        """What the model says of every token of whole documents, thousands of times faster than :meth:`forward`."""
        return self.counted.score(documents)

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """Next-token log-probabilities, see :class:`CausalModel`; a sequence without text is at its start."""
        contexts = list(self._contexts(tokens, mask, state))
        return torch.stack([self._log_probabilities(context) for context in contexts], dim=1)

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """The log-probabilities behind the last token alone, see :class:`CausalModel`."""
        *_, last = self._contexts(tokens, mask, state)
        return self._log_probabilities(last)

    def new_state(self, batch_size: int) -> NgramState:
        """Contexts without tokens."""
        return NgramState(torch.full((batch_size, self.config.order - 1), NOTHING))

    def save_weights(self, path: Path) -> None:
        """Write the counts as safetensors."""
        self.counted.save(path)

    def load_weights(self, path: Path) -> None:
        """Take over the counts that :meth:`save_weights` wrote.

        Raises:
            ValueError: naming the file, if it is damaged, or they are of another order, vocabulary or start token.
        """
        try:
            counted = KneserNey.load(path)
        except (SafetensorError, KeyError) as error:
            raise UserError(f"{path} is damaged ({error}): restore it, or fit the model again") from None
        found = (counted.order, counted.vocabulary_size, counted.start_token)
        wanted = (self.config.order, self.vocabulary.size, self.vocabulary.end_of_text_id)
        if found != wanted:
            raise UserError(
                f"{path} does not fit config.json and tokenizer.json beside it: order, vocabulary size and start token "
                f"are {found}, not {wanted}"
            )
        self._counted = counted

    def _contexts(self, tokens: Tensor, mask: Tensor | None, state: State | None) -> Iterator[Tensor]:
        """The contexts (batch, order - 1) behind each of the tokens; at the end the state is moved on."""
        before = state if isinstance(state, NgramState) else self.new_state(len(tokens))
        context, length = before.contexts, before.length
        for place in range(tokens.size(1)):
            moved = torch.cat((context, tokens[:, place : place + 1]), dim=1)[:, 1:]
            context = moved if mask is None else moved.where(mask[:, length + place : length + place + 1], context)
            yield context
        before.contexts, before.length = context, length + tokens.size(1)

    def _log_probabilities(self, contexts: Tensor) -> Tensor:
        """Float32 (batch, vocabulary) behind contexts (batch, order - 1)."""
        rows = [[token for token in context if token != NOTHING] for context in contexts.tolist()]
        probabilities = np.stack([self.counted.distribution(row) for row in rows])
        return torch.from_numpy(np.log(probabilities)).float()
