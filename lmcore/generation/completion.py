"""The result of generation for one prompt, and the criteria that end it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

FinishReason = Literal["stop", "length", "end_of_text"]
"""Why a completion ended: a stop string or stop token, ``max_new_tokens``, or the model's end token."""


@dataclass(frozen=True)
class TopLogprobs:
    """The most probable tokens at one position, most probable first, whether sampled or not."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass
class Completion:
    """The answer to one prompt, without the prompt."""

    tokens: list[int] = field(default_factory=list)
    """The generated tokens, without the end token or stop token, but with the tokens of a stop string."""
    logprobs: list[float] = field(default_factory=list)
    """The model's own natural log-probability of each token, before temperature, filters and penalties; one more than
    ``tokens`` if the completion ended with an end or stop token."""
    top_logprobs: list[TopLogprobs] = field(default_factory=list)
    """The most probable tokens at each of these positions, if requested."""
    finish_reason: FinishReason | None = None
    """None while the completion is being generated."""
    text: str | None = None
    """The text before the stop string, if a tokenizer is available."""

    def append(self, token: int, logprob: float, criteria: "StoppingCriteria") -> None:
        """Append ``token``, which may end the completion."""
        self.logprobs.append(logprob)
        if token in criteria.token_reasons:
            self.finish_reason = criteria.token_reasons[token]
            return
        self.tokens.append(token)
        if criteria.ends_text is not None and criteria.ends_text(self.tokens):
            self.finish_reason = "stop"
        elif len(self.tokens) == criteria.max_new_tokens:
            self.finish_reason = "length"


@dataclass(frozen=True)
class StoppingCriteria:
    """When a completion ends."""

    token_reasons: dict[int, FinishReason]
    """The tokens that end a completion, with the reason: the end token and stop tokens."""
    max_new_tokens: int
    ends_text: Callable[[Sequence[int]], bool] | None
    """Whether the text of a completion's tokens has a stop string; None if only tokens end a completion."""


def top_logprobs_of(logits: Tensor, n_top_logprobs: int) -> list[TopLogprobs]:
    """The most probable tokens of each row of logits (batch, vocabulary)."""
    top = logits.log_softmax(dim=-1).topk(min(n_top_logprobs, logits.size(-1)), dim=-1)
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return [TopLogprobs(tuple(tokens), tuple(values)) for tokens, values in pairs]
