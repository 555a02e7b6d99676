"""Where in a text a model is surprised: the text in pieces, each with the bits that models need for it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lmcore.evaluation.intervals import Floats

REPLACEMENT = "\ufffd"


def surprise_by_piece(
    tokens: Sequence[int], bits: Mapping[str, Floats], decode: Callable[[Sequence[int]], str]
) -> list[dict[str, Any]]:
    """A text's pieces with the bits of each model: ``[{"text": ..., "bits": {model: ...}}, ...]``.

    A piece is one token, or, where a character is spread over several tokens, as many as make it whole.

    Args:
        tokens: the text's tokens, without the end token.
        bits: per model, what it needs for each token, (n_tokens,) or longer.
        decode: tokens to text.
    """
    pieces: list[dict[str, Any]] = []
    before = start = 0
    for end in range(1, len(tokens) + 1):
        # Behind a word comes a space, which a tokenizer of words shows between two of them only.
        text = decode(tokens[before:end])[len(decode(tokens[before:start])) :]
        if text.endswith(REPLACEMENT) and end < len(tokens):
            continue  # the bytes of a character are not all there yet
        needed = {model: round(float(values[start:end].sum()), 3) for model, values in bits.items()}
        pieces.append({"text": text, "bits": needed})
        before, start = start, end
    return pieces
