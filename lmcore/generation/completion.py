"""What generation gives: the answer to one prompt, and when it is over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

EndedBy = Literal["end_token", "stop", "max_new_tokens"]


@dataclass(frozen=True)
class Likeliest:
    """The likeliest tokens of one position, most probable first, whether chosen or not."""

    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]


@dataclass
class Completion:
    """The answer to one prompt, without the prompt."""

    tokens: list[int] = field(default_factory=list)
    """Those that were chosen, without the end token or the stop token; those of a stop string are among them."""
    log_probabilities: list[float] = field(default_factory=list)
    """What the model itself gave each chosen token (natural logarithms, before temperature, cuts and penalty); one
    more than tokens where an end or stop token was chosen."""
    likeliest: list[Likeliest] = field(default_factory=list)
    """The likeliest tokens at each of these positions, where they were asked for."""
    ended_by: EndedBy | None = None
    """None while there is more to come."""
    text: str | None = None
    """Up to the stop string, where a tokenizer is at hand."""

    def append(self, token: int, log_probability: float, ending: "Ending") -> None:
        """Go on with ``token``, which may be the last."""
        self.log_probabilities.append(log_probability)
        if token in ending.tokens:
            self.ended_by = ending.tokens[token]
            return
        self.tokens.append(token)
        if ending.text is not None and ending.text(self.tokens):
            self.ended_by = "stop"
        elif len(self.tokens) == ending.max_new_tokens:
            self.ended_by = "max_new_tokens"


@dataclass(frozen=True)
class Ending:
    """When an answer is over."""

    tokens: dict[int, EndedBy]
    """The end token, and others that end an answer."""
    max_new_tokens: int
    text: Callable[[Sequence[int]], bool] | None
    """Whether the text of an answer's tokens has come to its end; None where only tokens end it."""


def likeliest_of(logits: Tensor, n_likeliest: int) -> list[Likeliest]:
    """Of each row (batch, vocabulary) the likeliest tokens and their log-probabilities."""
    top = logits.log_softmax(dim=-1).topk(min(n_likeliest, logits.size(-1)), dim=-1)
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return [Likeliest(tuple(tokens), tuple(values)) for tokens, values in pairs]
