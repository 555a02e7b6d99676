"""The surprisal of a text: how many bits a model needs for each of its tokens."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Decode = Callable[[Sequence[int]], str]
REPLACEMENT_CHARACTER = "\N{REPLACEMENT CHARACTER}"
"""What bytes that are not a whole character decode to."""


@dataclass(frozen=True)
class TextSpan:
    """A part of a text that is shown as one: a token, or the tokens that a character is spread over.

    Attributes:
        text: the text of tokens ``start`` to ``end`` (exclusive), with the space before it if the tokenizer omits it.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class TextScore:
    """How probable a model finds a text.

    Attributes:
        tokens: the text's tokens.
        logprobs: the natural log-probability of each token, given those before it.
        spans: the spans of the text, each with its surprisal in bits.
    """

    tokens: list[int]
    logprobs: list[float]
    spans: list[tuple[str, float]]

    @property
    def perplexity(self) -> float:
        """The perplexity per token; NaN for an empty text."""
        if not self.tokens:
            return math.nan
        return math.exp(-sum(self.logprobs) / len(self.tokens))


def text_spans(tokens: Sequence[int], decode: Decode) -> list[TextSpan]:
    """Split a text into spans of whole characters; their texts joined are ``decode(tokens)``."""
    spans: list[TextSpan] = []
    before = start = 0
    for end in range(1, len(tokens) + 1):
        # Decoded after the previous span, since a tokenizer of words puts spaces only between two of them.
        text = decode(tokens[before:end])[len(decode(tokens[before:start])) :]
        if text.endswith(REPLACEMENT_CHARACTER) and end < len(tokens):
            continue  # the character has more bytes
        spans.append(TextSpan(text, start, end))
        before, start = start, end
    return spans


def span_surprisals(tokens: Sequence[int], logprobs: Sequence[float], decode: Decode) -> list[tuple[str, float]]:
    """The spans of a text, each with its surprisal in bits."""
    return [(span.text, -sum(logprobs[span.start : span.end]) / math.log(2)) for span in text_spans(tokens, decode)]
