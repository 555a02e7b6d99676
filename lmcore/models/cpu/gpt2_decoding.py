"""GPT-2 for a few more tokens per text, in as few operations as possible, see :mod:`lmcore.models.cpu.gpt_decoding`."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore.models.cpu.packed_linear import PackedLinear


class GPT2Cache(Protocol):
    """The keys and values that a step attends to."""

    length: int

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None = None) -> Tensor:
        """Append to one layer and attend; all have shape (batch, heads, new positions, head_dim)."""

    def advance(self, n_positions: int) -> None:
        """Count positions as read."""


@dataclass(frozen=True)
class Norm:
    """Scale, bias and epsilon of a layer normalization."""

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, rows: Tensor) -> Tensor:
        """Map (rows, hidden_size) to the same shape."""
        return torch.layer_norm(rows, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class GPT2Block:
    """The layers of one block."""

    attention_norm: Norm
    query_key_value: PackedLinear
    attention_output: PackedLinear
    feed_forward_norm: Norm
    feed_forward_input: PackedLinear
    feed_forward_output: PackedLinear


@dataclass(frozen=True)
class GPT2Weights:
    """A GPT-2's weights, prepared for many steps.

    Attributes:
        blocks: the blocks, first to last.
        embedding: shape (vocabulary, hidden_size).
        positions: shape (positions, hidden_size).
        final_norm: the normalization after the last block.
        output: maps hidden states to logits.
        n_heads: number of heads.
        dtype: dtype of the activations.
    """

    blocks: tuple[GPT2Block, ...]
    embedding: Tensor
    positions: Tensor
    final_norm: Norm
    output: PackedLinear
    n_heads: int
    dtype: torch.dtype


def decode(weights: GPT2Weights, tokens: Tensor, positions: Tensor, cache: GPT2Cache, visible: Tensor | None) -> Tensor:
    """The normalized output of the last block after more tokens per text, shape (batch, length, hidden_size).

    Args:
        weights: the model.
        tokens: int64 of shape (batch, length).
        positions: their positions, int64 of shape (length,) or (batch, length).
        cache: the positions before; advanced by the length.
        visible: bool, broadcast to (batch, 1, length, positions), true where a token may attend; None if a text begins
            with these tokens, without padding, or if a single token may attend to all before it.
    """
    batch, length = tokens.shape
    embedded = F.embedding(tokens, weights.embedding) + F.embedding(positions, weights.positions)
    stream = embedded.to(weights.dtype).flatten(0, 1)
    for layer, block in enumerate(weights.blocks):
        heads = block.query_key_value(block.attention_norm(stream)).view(batch, length, 3, weights.n_heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind()
        attended = cache.attend(layer, query, key, value, visible)
        stream = block.attention_output.added_to(stream, attended.transpose(1, 2).reshape(batch * length, -1))
        expanded = F.gelu(block.feed_forward_input(block.feed_forward_norm(stream)), approximate="tanh")
        stream = block.feed_forward_output.added_to(stream, expanded)
    cache.advance(length)
    return weights.final_norm(stream).view(batch, length, -1)
