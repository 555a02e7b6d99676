"""The GPT for a few more tokens per text, in as few operations as possible.

When a model reads one token at a time, a CPU spends more time on starting operations than on arithmetic. So queries,
keys and values come from one matrix product, weights are packed once, and nothing is kept for a backward
pass. The result is that of :meth:`lmcore.models.gpt.model.GPT.forward`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore.models.cpu.packed_linear import PackedLinear


class DecodingCache(Protocol):
    """The keys and values that a step attends to."""

    length: int
    last_embeddings: Tensor | None

    def with_new(self, tokens: Tensor) -> Tensor:
        """Append tokens (batch, new positions); returns all of them, int64 (batch, positions)."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None = None) -> Tensor:
        """Append to one layer and attend; all have shape (batch, heads, new positions, head_dim)."""

    def advance(self, n_positions: int) -> None:
        """Count positions as read."""


@dataclass(frozen=True)
class BlockWeights:
    """The layers of one block."""

    mixing: tuple[float, float] | None
    query_key_value: PackedLinear
    attention_output: PackedLinear
    feed_forward_input: PackedLinear
    gate: PackedLinear | None
    feed_forward_output: PackedLinear

    def expand(self, normalized: Tensor) -> Tensor:
        """The activations (rows, intermediate_size) of the feed-forward layer."""
        expanded = self.feed_forward_input(normalized)
        if self.gate is None:
            return expanded.relu_().square_()
        return F.silu(self.gate(normalized)).mul_(expanded)


@dataclass(frozen=True)
class GPTWeights:
    """A GPT's weights, prepared for many steps.

    Attributes:
        blocks: the blocks, first to last.
        embedding: shape (vocabulary, hidden_size).
        token_shift: shape (hidden_size,), if the model has token shift.
        ngram_heads: what is added to input and output, given all tokens, the number of new ones, which positions they
            see, and the dtype; if the model has n-gram heads.
        value_tables: per layer (vocabulary, key-value heads * head_dim), if the model has value embeddings.
        value_scales: shape (layers, 1, 1), likewise.
        cosine: shape (positions, head_dim), the factor of each feature.
        sine: shape (positions, head_dim), the signed factor of the feature that it is paired with.
        output: maps hidden states to logits.
        cap: soft cap of the logits, if any.
        n_heads: number of query heads.
        n_key_value_heads: number of key-value heads.
        dtype: dtype of the activations.
    """

    blocks: tuple[BlockWeights, ...]
    embedding: Tensor
    token_shift: Tensor | None
    ngram_heads: Callable[[Tensor, int, Tensor | None, torch.dtype], tuple[Tensor, Tensor]] | None
    value_tables: tuple[Tensor, ...]
    value_scales: Tensor | None
    cosine: Tensor
    sine: Tensor
    output: PackedLinear
    cap: float | None
    n_heads: int
    n_key_value_heads: int
    dtype: torch.dtype


def decode(
    weights: GPTWeights, tokens: Tensor, cache: DecodingCache, visible: Tensor | None, mask: Tensor | None
) -> Tensor:
    """The normalized output of the last block after more tokens per text, shape (batch, length, hidden_size).

    Args:
        weights: the model.
        tokens: int64 of shape (batch, length).
        cache: the positions before; advanced by the length.
        visible: bool, broadcast to (batch, 1, length, positions), true where a token may attend; None if a text begins
            with these tokens, without padding, or if a single token may attend to all before it.
        mask: bool of shape (batch, positions), false at left padding; None if there is no padding.
    """
    batch, length = tokens.shape
    positions, head_dim = slice(cache.length, cache.length + length), weights.cosine.size(1)
    n_rotated = weights.n_heads + weights.n_key_value_heads
    cosine, sine = weights.cosine[positions].unsqueeze(1), weights.sine[positions].unsqueeze(1)
    embedded, found = _embed(weights, tokens, cache, mask), None
    if weights.ngram_heads is not None:
        found = weights.ngram_heads(cache.with_new(tokens), length, visible, weights.dtype)
        embedded = embedded + found[0]
    stream = embedded = embedded.flatten(0, 1)
    value_embeddings = _value_embeddings(weights, tokens.flatten())
    for layer, block in enumerate(weights.blocks):
        if block.mixing is not None:
            stream = torch.add(stream * block.mixing[0], embedded, alpha=block.mixing[1])
        heads = block.query_key_value(_normalize(stream)).view(batch, length, -1, head_dim)
        rotated = _rotate_normalized(heads[:, :, :n_rotated], cosine, sine).transpose(1, 2)
        value = heads[:, :, n_rotated:]
        if value_embeddings is not None:
            value = value + value_embeddings[layer].view(value.shape)
        query, key = rotated[:, : weights.n_heads], rotated[:, weights.n_heads :]
        attended = cache.attend(layer, query, key, value.transpose(1, 2), visible)
        stream = block.attention_output.added_to(stream, attended.transpose(1, 2).reshape(batch * length, -1))
        stream = block.feed_forward_output.added_to(stream, block.expand(_normalize(stream)))
    cache.advance(length)
    output = _normalize(stream).view(batch, length, -1)
    return output if found is None else output + found[1]


def output_logits(weights: GPTWeights, hidden: Tensor) -> Tensor:
    """Float32 logits (..., vocabulary) of hidden states (..., hidden_size)."""
    logits = weights.output(hidden).float()
    return logits if weights.cap is None else logits.div_(weights.cap).tanh_().mul_(weights.cap)


def _embed(weights: GPTWeights, tokens: Tensor, cache: DecodingCache, mask: Tensor | None) -> Tensor:
    """Embeddings (batch, length, hidden_size), after token shift."""
    embedded = _normalize(F.embedding(tokens, weights.embedding).to(weights.dtype))
    if weights.token_shift is None:
        return embedded
    before, cache.last_embeddings = cache.last_embeddings, embedded
    first = torch.zeros_like(embedded[:, :1]) if before is None else before[:, -1:]
    previous = first if tokens.size(1) == 1 else torch.cat((first, embedded[:, :-1]), dim=1)
    if mask is not None:
        is_text = F.pad(mask, (1, 0))[:, cache.length : cache.length + tokens.size(1)]
        previous = previous * is_text.unsqueeze(2)
    return torch.addcmul(embedded, previous, weights.token_shift)


def _value_embeddings(weights: GPTWeights, tokens: Tensor) -> Tensor | None:
    """Value embeddings of the tokens in each layer, shape (layers, rows, key-value size)."""
    if weights.value_scales is None:
        return None
    looked_up = torch.stack([F.embedding(tokens, table) for table in weights.value_tables]).to(weights.dtype)
    return _normalize(looked_up) * weights.value_scales


def _rotate_normalized(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Normalize and rotate heads (batch, length, heads, head_dim)."""
    normalized = _normalize(heads)
    # Rotation is a sum of two products, the second with the halves of each head swapped.
    swapped = normalized.roll(heads.size(-1) // 2, dims=-1)
    return torch.addcmul(normalized * cosine, swapped, sine)


def _normalize(hidden: Tensor) -> Tensor:
    """As :func:`lmcore.models.layers.functional.normalize`, without a backward pass."""
    norm: Tensor = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True, dtype=torch.float32)
    return hidden * norm.clamp_min_(1e-6).reciprocal_().mul_(math.sqrt(hidden.size(-1))).to(hidden.dtype)
