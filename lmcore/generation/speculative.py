"""Speculative decoding: one pass of the model reads a token together with a draft of the tokens after it.

Reading several tokens takes a model hardly longer than reading one, since it fetches its weights only once. For every
drafted token that is then chosen, the logits after it are already known (Leviathan et al. 2023,
https://arxiv.org/abs/2211.17192). How tokens are chosen does not change, so greedy decoding and sampling are the same
with drafts as without.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from lmcore.generation.drafts import AssistantModel, Drafts
from lmcore.models.generative import CausalModel
from lmcore.models.state import ModelState

CLOSE_CALL = 1e-3
"""Logits that differ by less may swap places when tokens are read one at a time: sums are then computed in another
order, and float32 logits differ by about 1e-5."""


class TruncatableState(ModelState, Protocol):
    """A state that can forget its last positions."""

    def truncate(self, length: int) -> None:
        """Forget all but the first ``length`` positions."""


class SpeculativeReader:
    """Reads the tokens of one text, with drafts of those that may follow.

    Args:
        model: the model, in evaluation mode.
        state: its state after ``text``.
        text: the tokens so far.
        assistant_model: see :class:`Drafts`.
    """

    def __init__(
        self,
        model: CausalModel,
        state: TruncatableState,
        text: Sequence[int],
        assistant_model: AssistantModel | None = None,
    ) -> None:
        self._model, self._state = model, state
        self._drafts = Drafts(text, assistant_model)
        self._length = state.length  # of the text, without a draft
        self._draft: list[int] = []
        self._logits = torch.empty(0)
        self._n_right = 0
        self.has_drafted = False
        """Whether any pass has read more than one token, so that logits may differ in their last bits."""

    def read(self, token: int) -> Tensor:
        """The logits (1, vocabulary) after one more token."""
        self._drafts.append(token)
        self._length += 1
        if self._n_right < len(self._draft) and self._draft[self._n_right] == token:
            self._n_right += 1
        else:
            self._read_with_draft(token)
        return self._logits[self._n_right : self._n_right + 1]

    def _read_with_draft(self, token: int) -> None:
        self._drafts.learn(len(self._draft), self._n_right)
        self._state.truncate(self._length - 1)
        limit = self._model.max_position_embeddings
        room = len(self._draft) + self._length if limit is None else limit - self._length
        self._draft, self._n_right = self._drafts.draft(room), 0
        self.has_drafted = self.has_drafted or bool(self._draft)
        tokens = torch.tensor([[token, *self._draft]], device=self._model.device)
        self._logits = self._model(tokens, state=self._state)[0]


def is_close_call(logits: Tensor) -> bool:
    """Whether the two largest logits (1, vocabulary) are so close that rounding may decide which is the largest."""
    return int((logits > logits.max() - CLOSE_CALL).sum()) > 1
