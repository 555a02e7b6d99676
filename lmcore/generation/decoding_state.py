"""A batch of texts that a model is generating."""

from collections.abc import Sequence
from typing import Self, cast

import torch
from torch import Tensor

from lmcore.generation.drafts import AssistantModel
from lmcore.generation.speculative import SpeculativeReader, TruncatableState
from lmcore.models.generative import CausalModel, GenerationInputs, GenerativeModel


class DecodingState:
    """The model's state after each text of a batch, and its prediction of the next token.

    Args:
        model: the model, in evaluation mode.
        inputs: what the model reads first.
        assistant_model: drafts the tokens of a single text, see :class:`~lmcore.generation.drafts.Drafts`.

    Attributes:
        logits: logits of the next token, float32 of shape (batch, vocabulary).
    """

    def __init__(
        self, model: GenerativeModel, inputs: GenerationInputs, assistant_model: AssistantModel | None = None
    ) -> None:
        self._model, self._assistant_model = model, assistant_model
        self._state = inputs.state
        self._is_text = inputs.is_text
        self._prompt, self._written = inputs.tokens, list[int]()
        self.logits = self._read(inputs.tokens)
        self._reader = self._new_reader()

    @classmethod
    def from_prompts(
        cls,
        model: GenerativeModel,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        assistant_model: AssistantModel | None = None,
    ) -> Self:
        """The state after prompts (one or more, of any length), see :meth:`GenerativeModel.prepare_inputs`."""
        return cls(model, model.prepare_inputs(prompts, max_new_tokens), assistant_model)

    @property
    def needs_reread(self) -> bool:
        """Whether a draft was read with the text, so that the last bits of the logits may differ from those of tokens
        that are read one after another. False for a model whose rounding differs more than that anyway."""
        has_drafted = self._reader is not None and self._reader.has_drafted
        return has_drafted and isinstance(self._model, CausalModel) and self._model.reads_alike

    def advance(self, tokens: Tensor) -> None:
        """Append one token to each text, int64 of shape (batch,)."""
        if self._reader is not None:
            self._written.append(int(tokens))
            self.logits = self._reader.read(self._written[-1])
            return
        if self._is_text is not None:
            is_new_text = torch.ones(len(tokens), 1, dtype=torch.bool, device=tokens.device)
            self._is_text = torch.cat((self._is_text, is_new_text), dim=1)
        self.logits = self._read(tokens.unsqueeze(1))

    def reread(self) -> None:
        """Read a single text again without drafts: its prompt at once, and then token by token."""
        assert isinstance(self._model, CausalModel)
        self._state, self._reader = self._model.new_state(1), None
        self.logits = self._read(self._prompt)
        for token in self._written:
            self.logits = self._read(self._prompt.new_tensor([[token]]))
        self._reader = self._new_reader()

    def select(self, rows: Tensor) -> None:
        """Select texts by index (int64, any order, repeats allowed)."""
        self._state.select(rows)
        self.logits = self.logits[rows]
        if self._is_text is not None:
            self._is_text = self._is_text[rows]

    def fork(self, n_continuations: int) -> None:
        """Give every text several continuations, in adjacent rows, see :meth:`ModelState.fork`."""
        if self._written:
            self.reread()
        self._reader = None
        self._state.fork(n_continuations, self._is_text)
        self.logits = self.logits.repeat_interleave(n_continuations, dim=0)
        if self._is_text is not None:
            self._is_text = self._is_text.repeat_interleave(n_continuations, dim=0)

    def _new_reader(self) -> SpeculativeReader | None:
        """Reads a single text with drafts, if its model and state can."""
        if len(self._prompt) > 1 or not isinstance(self._model, CausalModel) or not self._model.takes_drafts:
            return None
        text = [*self._prompt[0].tolist(), *self._written]
        return SpeculativeReader(self._model, cast("TruncatableState", self._state), text, self._assistant_model)

    def _read(self, tokens: Tensor) -> Tensor:
        return self._model.next_logits(tokens, mask=self._is_text, state=self._state)
