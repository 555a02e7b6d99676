"""A batch of texts that a model is generating."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from lmcore.models.generative import GenerationInputs, GenerativeModel


class DecodingState:
    """The model's state after each text of a batch, and its prediction of the next token.

    Args:
        model: the model, in evaluation mode.
        inputs: what the model reads first.

    Attributes:
        logits: logits of the next token, float32 of shape (batch, vocabulary).
    """

    def __init__(self, model: GenerativeModel, inputs: GenerationInputs) -> None:
        self._model = model
        self._state = inputs.state
        self._is_text = inputs.is_text
        self.logits = self._read(inputs.tokens)

    @classmethod
    def from_prompts(cls, model: GenerativeModel, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> Self:
        """The state after prompts (one or more, of any length), see :meth:`GenerativeModel.prepare_inputs`."""
        return cls(model, model.prepare_inputs(prompts, max_new_tokens))

    def advance(self, tokens: Tensor) -> None:
        """Append one token to each text, int64 of shape (batch,)."""
        if self._is_text is not None:
            is_new_text = torch.ones(len(tokens), 1, dtype=torch.bool, device=tokens.device)
            self._is_text = torch.cat((self._is_text, is_new_text), dim=1)
        self.logits = self._read(tokens.unsqueeze(1))

    def select(self, rows: Tensor) -> None:
        """Select texts by index (int64, any order, repeats allowed)."""
        self._state.select(rows)
        self.logits = self.logits[rows]
        if self._is_text is not None:
            self._is_text = self._is_text[rows]

    def fork(self, n_continuations: int) -> None:
        """Give every text several continuations, in adjacent rows, see :meth:`ModelState.fork`."""
        self._state.fork(n_continuations, self._is_text)
        self.logits = self.logits.repeat_interleave(n_continuations, dim=0)
        if self._is_text is not None:
            self._is_text = self._is_text.repeat_interleave(n_continuations, dim=0)

    def _read(self, tokens: Tensor) -> Tensor:
        return self._model.next_logits(tokens, mask=self._is_text, state=self._state)
