"""Choosing a token from logits."""

import math

import torch
from torch import Tensor

from lmcore.generation.config import GenerationConfig


def choose(logits: Tensor, config: GenerationConfig, generator: torch.Generator) -> Tensor:
    """One token per row, int64 (batch,), from next-token logits (batch, vocabulary)."""
    if config.temperature == 0.0:
        return logits.argmax(dim=-1)
    logits = logits / config.temperature
    if config.top_k is not None:
        logits = keep_top_k(logits, config.top_k)
    if config.top_p is not None:
        logits = keep_top_p(logits, config.top_p)
    return torch.multinomial(logits.softmax(dim=-1), 1, generator=generator).squeeze(1)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Minus infinity for all but the ``k`` largest of each row (Fan et al. 2018)."""
    threshold = logits.topk(min(k, logits.size(-1)), dim=-1).values[:, -1:]
    return logits.masked_fill(logits < threshold, -math.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Minus infinity for all but the likeliest tokens that together reach probability ``p``
    (Holtzman et al. 2020, nucleus sampling); the likeliest token always stays."""
    ordered, indices = logits.sort(dim=-1, descending=True)
    probabilities = ordered.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    dropped = torch.zeros_like(before, dtype=torch.bool).scatter_(1, indices, before >= p)
    return logits.masked_fill(dropped, -math.inf)
