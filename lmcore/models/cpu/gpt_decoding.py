"""The GPT for one more token per text, in as few operations as possible.

When a model reads one token at a time, a CPU spends more time on starting operations than on arithmetic. So queries,
keys and values come from one matrix product, weights are cast and transposed once, and nothing is kept for a backward
pass. The result is that of :meth:`lmcore.models.gpt.model.GPT.forward`.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class DecodingCache(Protocol):
    """The keys and values that a step attends to."""

    length: int
    last_embedding: Tensor | None

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None = None) -> Tensor:
        """Append to one layer and attend; all have shape (batch, heads, 1, head_dim)."""

    def advance(self, n_positions: int) -> None:
        """Count positions as read."""


@dataclass(frozen=True)
class BlockWeights:
    """The weights of one block in the dtype of the activations; output weights are transposed."""

    mixing: tuple[float, float] | None
    query_key_value: Tensor
    attention_output: Tensor
    feed_forward_input: Tensor
    gate: Tensor | None
    feed_forward_output: Tensor

    def expand(self, normalized: Tensor) -> Tensor:
        """The activations (batch, intermediate_size) of the feed-forward layer."""
        expanded = F.linear(normalized, self.feed_forward_input)
        if self.gate is None:
            return F.relu(expanded).square_()
        return F.silu(F.linear(normalized, self.gate)).mul_(expanded)


@dataclass(frozen=True)
class GPTWeights:
    """A GPT's weights, prepared for many steps.

    Attributes:
        blocks: the blocks, first to last.
        embedding: shape (vocabulary, hidden_size).
        token_shift: shape (hidden_size,), if the model has token shift.
        value_tables: per layer (vocabulary, key-value heads * head_dim), if the model has value embeddings.
        value_scales: shape (layers, 1, 1), likewise.
        cosine: shape (positions, head_dim), the factor of each feature.
        sine: shape (positions, head_dim), the signed factor of the feature that it is paired with.
        output: shape (vocabulary, hidden_size).
        cap: soft cap of the logits, if any.
        n_heads: number of query heads.
        n_key_value_heads: number of key-value heads.
        dtype: dtype of the activations.
    """

    blocks: tuple[BlockWeights, ...]
    embedding: Tensor
    token_shift: Tensor | None
    value_tables: tuple[Tensor, ...]
    value_scales: Tensor | None
    cosine: Tensor
    sine: Tensor
    output: Tensor
    cap: float | None
    n_heads: int
    n_key_value_heads: int
    dtype: torch.dtype


def decode_step(weights: GPTWeights, tokens: Tensor, cache: DecodingCache, mask: Tensor | None) -> Tensor:
    """Next-token logits after one more token per text, float32 of shape (batch, vocabulary).

    Args:
        weights: the model.
        tokens: int64 of shape (batch, 1).
        cache: the positions before; advanced by one.
        mask: bool of shape (batch, positions), false at left padding; None if there is no padding.
    """
    tokens = tokens[:, 0]
    position, head_dim = cache.length, weights.cosine.size(1)
    n_rotated = weights.n_heads + weights.n_key_value_heads
    visible = None if mask is None else mask[:, None, None, :]
    stream = embedded = _embed(weights, tokens, cache, mask)
    value_embeddings = _value_embeddings(weights, tokens)
    for layer, block in enumerate(weights.blocks):
        if block.mixing is not None:
            stream = torch.add(stream * block.mixing[0], embedded, alpha=block.mixing[1])
        product = F.linear(_normalize(stream), block.query_key_value)
        heads = product.view(len(tokens), -1, head_dim)
        rotated = _rotate_normalized(heads[:, :n_rotated], weights.cosine[position], weights.sine[position])
        value = heads[:, n_rotated:]
        if value_embeddings is not None:
            value = value + value_embeddings[layer]
        query, key = rotated[:, : weights.n_heads].unsqueeze(2), rotated[:, weights.n_heads :].unsqueeze(2)
        attended = cache.attend(layer, query, key, value.unsqueeze(2), visible)
        stream = torch.addmm(stream, attended.reshape(len(tokens), -1), block.attention_output)
        stream = torch.addmm(stream, block.expand(_normalize(stream)), block.feed_forward_output)
    cache.advance(1)
    logits = F.linear(_normalize(stream), weights.output).float()
    return logits if weights.cap is None else logits.div_(weights.cap).tanh_().mul_(weights.cap)


def _embed(weights: GPTWeights, tokens: Tensor, cache: DecodingCache, mask: Tensor | None) -> Tensor:
    """Embeddings (batch, hidden_size), after token shift."""
    embedded = _normalize(F.embedding(tokens, weights.embedding).to(weights.dtype))
    if weights.token_shift is None:
        return embedded
    previous, cache.last_embedding = cache.last_embedding, embedded.unsqueeze(1)
    if previous is None:
        return embedded
    previous = previous[:, 0]
    if mask is not None:
        previous = previous * mask[:, -2:-1]
    return torch.addcmul(embedded, previous, weights.token_shift)


def _value_embeddings(weights: GPTWeights, tokens: Tensor) -> Tensor | None:
    """Value embeddings of the tokens in each layer, shape (layers, batch, key-value heads, head_dim)."""
    if weights.value_scales is None:
        return None
    looked_up = torch.stack([F.embedding(tokens, table) for table in weights.value_tables]).to(weights.dtype)
    scaled = _normalize(looked_up) * weights.value_scales
    return scaled.view(*scaled.shape[:2], -1, weights.cosine.size(1))


def _rotate_normalized(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Normalize and rotate heads (batch, heads, head_dim) of one position."""
    normalized = _normalize(heads)
    # Rotation is a sum of two products, the second with the halves of each head swapped.
    swapped = normalized.roll(heads.size(-1) // 2, dims=-1)
    return torch.addcmul(normalized * cosine, swapped, sine)


def _normalize(hidden: Tensor) -> Tensor:
    """As :func:`lmcore.models.layers.functional.normalize`, without a backward pass."""
    norm: Tensor = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True, dtype=torch.float32)
    return hidden * norm.clamp_min_(1e-6).reciprocal_().mul_(math.sqrt(hidden.size(-1))).to(hidden.dtype)
