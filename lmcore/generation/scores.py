"""How probable a model finds a text, token by token."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lmcore.generation.text import REPLACEMENT, Decode
from lmcore.models.causal import CausalModel


@dataclass(frozen=True)
class TextScore:
    """A text and what a model makes of it."""

    tokens: list[int]
    log_probabilities: list[float]
    """Of each token behind those before it, natural logarithms."""
    pieces: list[tuple[str, float]]
    """The text in pieces, each with the bits that the model needs for it."""

    @property
    def perplexity(self) -> float:
        """Per token; not a number for an empty text."""
        if not self.tokens:
            return math.nan
        return math.exp(-sum(self.log_probabilities) / len(self.tokens))


@torch.inference_mode()
def score_tokens(model: CausalModel, tokens: Sequence[int]) -> list[float]:
    """The natural logarithm of each token's probability as a document's beginning.

    A text longer than the context is read in windows that overlap by half, so that every token but the first ones is
    seen behind at least half a context.
    """
    model.eval()
    inputs = [model.vocabulary.end_of_text_id, *tokens[:-1]]
    window = model.max_position_embeddings or max(len(tokens), 1)
    stride = max(window // 2, 1)
    values: list[float] = []
    while len(values) < len(tokens):
        start = 0 if len(values) < window else len(values) + stride - window
        end = min(start + window, len(tokens))
        logits = model(torch.tensor([inputs[start:end]], device=model.device))[0, len(values) - start :]
        targets = torch.tensor(tokens[len(values) : end], device=model.device)
        values += logits.log_softmax(dim=-1).gather(1, targets.unsqueeze(1)).squeeze(1).tolist()
    return values


def pieces_of(tokens: Sequence[int], log_probabilities: Sequence[float], decode: Decode) -> list[tuple[str, float]]:
    """A text's pieces with their bits: one token each, or as many as a character is spread over."""
    pieces: list[tuple[str, float]] = []
    start = 0
    for end in range(1, len(tokens) + 1):
        text = decode(tokens[start:end])
        if text.endswith(REPLACEMENT) and end < len(tokens):
            continue  # the bytes of a character are not all there yet
        pieces.append((text, -sum(log_probabilities[start:end]) / math.log(2)))
        start = end
    return pieces
