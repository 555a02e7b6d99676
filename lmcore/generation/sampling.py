"""Choosing a token from logits."""

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lmcore.config.generation import GenerationConfig

N_SORTED_FIRST = 256
"""So many of the likeliest tokens mostly reach top-p; sorting all of them takes many times longer."""


def choose(logits: Tensor, config: GenerationConfig, uniform: Tensor) -> Tensor:
    """One token per row, int64 (batch,).

    Args:
        logits: of the next token, (batch, vocabulary).
        config: greedy decoding or sampling.
        uniform: a row's own draw from [0, 1), float64 (batch,).
    """
    if config.temperature is None:  # only sampling has one
        return logits.argmax(dim=-1)
    logits = logits / config.temperature
    if config.top_k is not None:
        logits = keep_top_k(logits, config.top_k)
    if config.top_p is not None:
        logits = keep_top_p(logits, config.top_p)
    if config.min_p is not None:
        logits = keep_min_p(logits, config.min_p)
    return draw(logits, uniform)


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """The token (batch,) in whose share of [0, 1) each row's ``uniform`` (batch,) falls."""
    cumulative = logits.softmax(dim=-1, dtype=torch.float64).cumsum(dim=-1)
    threshold = uniform.unsqueeze(1) * cumulative[:, -1:]
    # Searching on the right never finds a token of probability zero.
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(1).clamp_max(logits.size(-1) - 1)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Minus infinity for all but the ``k`` largest of each row (Fan et al. 2018)."""
    threshold = logits.topk(min(k, logits.size(-1)), dim=-1).values[:, -1:]
    return logits.masked_fill(logits < threshold, -math.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Minus infinity for all but the likeliest tokens that together reach probability ``p``
    (Holtzman et al. 2020, nucleus sampling); the likeliest token always stays, and with a ``p`` of 1 all do."""
    if p >= 1.0:
        return logits  # A sum of float32 reaches 1 before its last summands.
    values, indices = logits.topk(min(N_SORTED_FIRST, logits.size(-1)), dim=-1)
    total = logits.logsumexp(dim=-1, keepdim=True)
    if logits.size(-1) > N_SORTED_FIRST and bool(((values - total).exp().sum(dim=-1) < p).any()):
        values, indices = logits.sort(dim=-1, descending=True)
    probabilities = (values - total).exp()
    before = probabilities.cumsum(dim=-1) - probabilities
    is_kept = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, indices, before < p)
    return logits.masked_fill(~is_kept, -math.inf)


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Minus infinity for tokens less than ``p`` times as probable as the likeliest (Nguyen et al. 2024)."""
    threshold = logits.amax(dim=-1, keepdim=True) + math.log(p)
    return logits.masked_fill(logits < threshold, -math.inf)


def penalize(logits: Tensor, is_used: Tensor, penalty: float) -> Tensor:
    """Less likely logits for used tokens: a positive one divided by ``penalty`` (Keskar et al. 2019), a negative
    one, which dividing would make likelier, multiplied by it.

    Args:
        logits: (batch, vocabulary).
        is_used: boolean, likewise.
        penalty: 1 changes nothing, below 1 makes repetitions likelier.
    """
    penalized = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(is_used, penalized, logits)


def used_tokens(prompts: Sequence[Sequence[int]], vocabulary_size: int, device: torch.device) -> Tensor:
    """Which tokens occur in each prompt, boolean (batch, vocabulary)."""
    is_used = torch.zeros(len(prompts), vocabulary_size, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        is_used[row, list(prompt)] = True
    return is_used.to(device)


def uniform_draws(prompts: Sequence[Sequence[int]], n_draws: int, seed: int) -> Tensor:
    """Numbers from [0, 1), float64 (batch, n_draws), on the processor.

    A row's depend on the seed and on its prompt, not on what else is in the batch: only copies of a prompt that stand
    in it before make another row of the same prompt different.
    """
    copies: dict[tuple[int, ...], int] = {}
    rows = []
    for prompt in map(tuple, prompts):
        copies[prompt] = copies.get(prompt, -1) + 1
        digest = hashlib.sha256(repr((seed, copies[prompt], prompt)).encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
        rows.append(torch.rand(n_draws, generator=generator, dtype=torch.float64))
    return torch.stack(rows)
