"""A batch of texts that a model is continuing, whatever kind of model that is."""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lmcore.errors import UserError
from lmcore.models.causal import CausalModel, State
from lmcore.models.encoder_decoder.model import EncoderDecoder

logger = logging.getLogger(__name__)

NextLogits = Callable[..., Tensor]
"""A model's ``next_logits(tokens, state=...)``, called with ``mask=`` as well where a text is filled up on the left."""


class Continuation:
    """The model's state behind every text, and what it predicts next.

    Args:
        next_logits: of the model.
        state: before the tokens; moved on by them.
        tokens: int64 (batch, length), with which the texts begin.
        is_text: boolean (batch, length), false where a text is filled up on the left; None where none is.

    Attributes:
        logits: of the next token, float32 (batch, vocabulary).
    """

    def __init__(self, next_logits: NextLogits, state: State, tokens: Tensor, is_text: Tensor | None = None) -> None:
        self._next_logits = next_logits
        self._state = state
        self._is_text = is_text
        self.logits = self._read(tokens)

    def advance(self, chosen: Tensor) -> None:
        """Go on with one token per text, int64 (batch,)."""
        if self._is_text is not None:
            more = torch.ones(len(chosen), 1, dtype=torch.bool, device=chosen.device)
            self._is_text = torch.cat((self._is_text, more), dim=1)
        self.logits = self._read(chosen.unsqueeze(1))

    def select(self, rows: Tensor) -> None:
        """Keep the given texts (int64, any order, repeats allowed)."""
        self._state.select(rows)
        self.logits = self.logits[rows]
        if self._is_text is not None:
            self._is_text = self._is_text[rows]

    def fork(self, n_continuations: int) -> None:
        """Give every text so many continuations, which stand beside each other; :meth:`select` is then given as many
        rows of one text, one after the other."""
        self._state.fork(n_continuations, self._is_text)
        self.logits = self.logits.repeat_interleave(n_continuations, dim=0)
        if self._is_text is not None:
            self._is_text = self._is_text.repeat_interleave(n_continuations, dim=0)

    def _read(self, tokens: Tensor) -> Tensor:
        mask = {} if self._is_text is None else {"mask": self._is_text}
        return self._next_logits(tokens, state=self._state, **mask)


def behind_prompts(model: CausalModel, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> Continuation:
    """Texts that begin with prompts (one or more, of any length).

    An empty prompt starts a new document; one that leaves no room in the context for ``max_new_tokens`` loses its first
    tokens.

    Raises:
        ValueError: if ``max_new_tokens`` leaves no room for any prompt.
    """
    room = prompt_room(model.max_position_embeddings, max_new_tokens)
    start = model.vocabulary.end_of_text_id
    if room is not None and (n_cut := sum(len(prompt) > room for prompt in prompts)):
        logger.warning(
            "%d of %d prompts have up to %d tokens, and beside max_new_tokens %d the context of %d has room for %d: "
            "only their last tokens are read; shorten them, or lower max_new_tokens",
            n_cut,
            len(prompts),
            max(map(len, prompts)),
            max_new_tokens,
            model.max_position_embeddings,
            room,
        )
    kept = [list(prompt if room is None else prompt[-room:]) or [start] for prompt in prompts]
    tokens, is_text = _pad_left(kept, model.vocabulary.padding_id, model.device)
    is_padded = len(set(map(len, kept))) > 1
    return Continuation(model.next_logits, model.new_state(len(kept)), tokens, is_text if is_padded else None)


def behind_sources(model: EncoderDecoder, sources: Sequence[Sequence[int]], max_new_tokens: int) -> Continuation:
    """Texts to be written about sources (one or more, of any length); a too long source loses its last tokens.

    Raises:
        ValueError: if ``max_new_tokens`` do not fit the context.
    """
    prompt_room(model.max_position_embeddings, max_new_tokens)
    padding, start = model.vocabulary.padding_id, model.vocabulary.end_of_text_id
    # There is nothing to look at in an empty source, and looking at nothing has no result.
    kept = [list(source[: model.max_position_embeddings]) or [start] for source in sources]
    longest = max(map(len, kept))
    filled = torch.tensor([[*source, *[padding] * (longest - len(source))] for source in kept], device=model.device)
    starts = torch.full((len(kept), 1), start, device=model.device)
    return Continuation(model.next_logits, model.new_state(filled), starts)


def prompt_room(max_position_embeddings: int | None, max_new_tokens: int) -> int | None:
    """How many tokens of a prompt fit beside the answer; None where there is no limit.

    Raises:
        ValueError: if none do.
    """
    if max_position_embeddings is None:
        return None
    if max_new_tokens >= max_position_embeddings:
        raise UserError(
            f"max_new_tokens {max_new_tokens} leaves no room for a prompt in the context of "
            f"{max_position_embeddings}: expected at most {max_position_embeddings - 1}"
        )
    return max_position_embeddings - max_new_tokens


def _pad_left(prompts: Sequence[Sequence[int]], padding: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tokens int64 (batch, longest) and which of them are text, boolean.

    Positions are relative, so padding on the left, once hidden, changes nothing.
    """
    longest = max(map(len, prompts))
    tokens = torch.tensor([[padding] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    return tokens, torch.arange(longest, device=device) >= (longest - lengths).unsqueeze(1)
