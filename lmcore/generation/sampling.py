"""Samples tokens from logits."""

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lmcore.config.generation import GenerationConfig

N_SORTED_FIRST = 256
"""Top-p is first tried with this many of the most probable tokens; sorting the whole vocabulary takes far longer."""


def sample_tokens(logits: Tensor, config: GenerationConfig, uniform: Tensor) -> Tensor:
    """Sample one token per row, int64 of shape (batch,).

    Args:
        logits: logits of the next token, shape (batch, vocabulary).
        config: temperature and filters; without a temperature, the most probable token is taken.
        uniform: a random number from [0, 1) for each row, float64 of shape (batch,).
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
    return sample_by_inversion(logits, uniform)


def sample_by_inversion(logits: Tensor, uniform: Tensor) -> Tensor:
    """Sample one token per row (batch,) by inverting the cumulative distribution at ``uniform`` (batch,)."""
    cumulative = logits.softmax(dim=-1, dtype=torch.float64).cumsum(dim=-1)
    threshold = uniform.unsqueeze(1) * cumulative[:, -1:]
    # With right=True, a token of probability zero is never found.
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(1).clamp_max(logits.size(-1) - 1)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Set all but the ``k`` largest logits of each row to minus infinity (Fan et al. 2018)."""
    threshold = logits.topk(min(k, logits.size(-1)), dim=-1).values[:, -1:]
    return logits.masked_fill(logits < threshold, -math.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Set the logits of all but the most probable tokens that together reach probability ``p`` to minus infinity
    (Holtzman et al. 2020, nucleus sampling). At least one token is kept; with a ``p`` of 1 all are."""
    if p >= 1.0:
        return logits  # A sum of float32 numbers can reach 1 before its last terms.
    values, indices = logits.topk(min(N_SORTED_FIRST, logits.size(-1)), dim=-1)
    total = logits.logsumexp(dim=-1, keepdim=True)
    if logits.size(-1) > N_SORTED_FIRST and bool(((values - total).exp().sum(dim=-1) < p).any()):
        values, indices = logits.sort(dim=-1, descending=True)
    probabilities = (values - total).exp()
    before = probabilities.cumsum(dim=-1) - probabilities
    is_kept = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, indices, before < p)
    return logits.masked_fill(~is_kept, -math.inf)


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Set the logits of tokens less than ``p`` times as probable as the most probable one to minus infinity (Nguyen et
    al. 2024)."""
    threshold = logits.amax(dim=-1, keepdim=True) + math.log(p)
    return logits.masked_fill(logits < threshold, -math.inf)


def apply_repetition_penalty(logits: Tensor, is_used: Tensor, penalty: float) -> Tensor:
    """Lower the logits of used tokens: positive ones are divided by ``penalty`` (Keskar et al. 2019), negative ones,
    which division would raise, multiplied by it.

    Args:
        logits: shape (batch, vocabulary).
        is_used: bool of the same shape.
        penalty: 1 changes nothing; below 1, repetitions become more probable.
    """
    penalized = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(is_used, penalized, logits)


def used_tokens(prompts: Sequence[Sequence[int]], vocabulary_size: int, device: torch.device) -> Tensor:
    """Which tokens occur in each prompt, bool of shape (batch, vocabulary)."""
    is_used = torch.zeros(len(prompts), vocabulary_size, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        is_used[row, list(prompt)] = True
    return is_used.to(device)


def uniform_samples(prompts: Sequence[Sequence[int]], n_samples: int, seed: int) -> Tensor:
    """Random numbers from [0, 1), float64 of shape (batch, n_samples), on the CPU.

    A row's numbers depend on the seed and its prompt, not on the rest of the batch. Only repeated copies of a prompt
    get different numbers, by their order.
    """
    copies: dict[tuple[int, ...], int] = {}
    rows = []
    for prompt in map(tuple, prompts):
        copies[prompt] = copies.get(prompt, -1) + 1
        digest = hashlib.sha256(repr((seed, copies[prompt], prompt)).encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
        rows.append(torch.rand(n_samples, generator=generator, dtype=torch.float64))
    return torch.stack(rows)
