"""The bricks that models are composed of."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.models.cpu.fused import normalize, rotate_normalized, squared_relu
from lmcore.models.layers.key_value_cache import KeyValueCache, attend_to_itself, repeat_heads


class Linear(nn.Linear):
    """A linear map without bias, initialized for inputs of unit variance or, on the way back into the residual
    stream, with zeros (``zero_init``), so that every block starts as the identity (Zhang et al. 2019, Fixup)."""

    def __init__(self, n_inputs: int, n_outputs: int, *, zero_init: bool = False) -> None:
        self.zero_init = zero_init
        super().__init__(n_inputs, n_outputs, bias=False)

    def reset_parameters(self) -> None:
        """Draw the weights anew from torch's current generator."""
        if self.zero_init:
            nn.init.zeros_(self.weight)
        else:
            # The bound of a uniform distribution with standard deviation 1 / sqrt(2 · inputs).
            bound = math.sqrt(1.5 / self.in_features)
            nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, features: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs), computed in the dtype of ``features``."""
        return F.linear(features, self.weight.to(features.dtype))


class RotaryEmbedding(nn.Module):
    """Normalizes heads and rotates their pairs of features by an angle that grows with the position
    (Su et al. 2021, RoFormer; Henry et al. 2020 for the normalization)."""

    cosine: Tensor
    sine: Tensor

    def __init__(self, head_dim: int, max_position_embeddings: int, base: float) -> None:
        super().__init__()
        frequencies = base ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
        angles = torch.outer(torch.arange(max_position_embeddings, dtype=torch.float64), frequencies)
        self.register_buffer("cosine", angles.cos().float(), persistent=False)
        self.register_buffer("sine", angles.sin().float(), persistent=False)

    def forward(self, heads: Tensor, start: int = 0) -> Tensor:
        """(batch, length, heads, head_dim), first position ``start``, to (batch, heads, length, head_dim)."""
        end = start + heads.size(1)
        return rotate_normalized(heads, self.cosine[start:end], self.sine[start:end])


class TokenShift(nn.Module):
    """Adds to each token's embedding a learned share of the one before it, feature by feature, so that the first
    block already sees pairs (Peng et al. 2023, RWKV; the "smear" of the modded-nanogpt speed runs)."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, embedded: Tensor, *, mask: Tensor | None = None, cache: KeyValueCache | None = None) -> Tensor:
        """(batch, length, hidden_size) to the same.

        Args:
            embedded: the new positions.
            mask: boolean (batch, positions), those in the cache included; of a position without text the next one
                gets nothing.
            cache: holds the last embedding before these, and gets the last of these.
        """
        start = cache.length if cache else 0
        first = cache.last_embedding if cache and cache.last_embedding is not None else embedded.new_zeros(1, 1, 1)
        previous = torch.cat((first.expand(len(embedded), 1, embedded.size(2)), embedded[:, :-1]), dim=1)
        if mask is not None:
            is_text = F.pad(mask, (1, 0))[:, start : start + embedded.size(1)]
            previous = previous * is_text.unsqueeze(-1)
        if cache:
            cache.last_embedding = embedded[:, -1:]
        return torch.addcmul(embedded, previous, self.share.to(embedded.dtype))


class ValueEmbedding(nn.Module):
    """What a token says of itself to those that attend to it, whatever stands around it: a table of its own beside
    the values made from the residual stream (the "value embeddings" of the modded-nanogpt speed runs)."""

    def __init__(self, vocabulary_size: int, hidden_size: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary_size, hidden_size)
        nn.init.normal_(self.table.weight, std=0.02)
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, tokens: Tensor, dtype: torch.dtype) -> Tensor:
        """(batch, length, hidden_size) in ``dtype`` for int64 tokens (batch, length)."""
        return normalize(self.table(tokens).to(dtype)) * self.weight.to(dtype)


class SelfAttention(nn.Module):
    """Causal multi-head self-attention with rotary positions and normalized queries and keys
    (Vaswani et al. 2017; Henry et al. 2020 for the normalization; Ainslie et al. 2023 for fewer heads of keys and
    values than of queries)."""

    def __init__(
        self, *, hidden_size: int, num_attention_heads: int, num_key_value_heads: int, rotary: RotaryEmbedding
    ) -> None:
        super().__init__()
        self.head_dim = hidden_size // num_attention_heads
        self.group_size = num_attention_heads // num_key_value_heads
        key_value_size = self.head_dim * num_key_value_heads
        self.rotary = rotary
        self.query = Linear(hidden_size, hidden_size)
        self.key = Linear(hidden_size, key_value_size)
        self.value = Linear(hidden_size, key_value_size)
        self.output = Linear(hidden_size, hidden_size, zero_init=True)

    def forward(
        self,
        hidden: Tensor,
        *,
        own_values: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Attend within (batch, length, hidden_size).

        Args:
            own_values: (batch, length, hidden_size of all values), added to the values (:class:`ValueEmbedding`).
            mask: boolean (batch, 1, length, positions), true where a query may look; causal when absent.
            cache: positions before these; extended by these.
        """
        start = cache.length if cache else 0
        query = self.rotary(self._heads(self.query(hidden)), start)
        key = self.rotary(self._heads(self.key(hidden)), start)
        values = self.value(hidden) if own_values is None else self.value(hidden) + own_values
        value = self._heads(values).transpose(1, 2)
        if cache:
            attended = cache.attend(layer, query, key, value, mask)
        else:
            key, value = (repeat_heads(part, self.group_size) for part in (key, value))
            attended = attend_to_itself(query, key, value, mask)
        projected: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return projected

    def _heads(self, features: Tensor) -> Tensor:
        """(batch, length, hidden_size) to (batch, length, heads, head_dim)."""
        return features.view(*features.shape[:-1], -1, self.head_dim)


class FeedForward(nn.Module):
    """Two linear maps around squared rectification (So et al. 2021, Primer) or a gate (Shazeer 2020, SwiGLU)."""

    def __init__(self, *, hidden_size: int, intermediate_size: int, activation: str) -> None:
        super().__init__()
        self.input = Linear(hidden_size, intermediate_size)
        self.gate = Linear(hidden_size, intermediate_size) if activation == "swiglu" else None
        self.output = Linear(intermediate_size, hidden_size, zero_init=True)

    def forward(self, hidden: Tensor) -> Tensor:
        """(batch, length, hidden_size) to the same."""
        expanded = self.input(hidden)
        activated = squared_relu(expanded) if self.gate is None else F.silu(self.gate(hidden)) * expanded
        projected: Tensor = self.output(activated)
        return projected


class DecoderBlock(nn.Module):
    """Attention and feed-forward, each normalized on the way in and added to the residual stream.

    With residual mixing the stream is first blended with the token embeddings by two learned scalars
    (the "x0 lambdas" of the modded-nanogpt speed runs).
    """

    def __init__(self, attention: SelfAttention, feed_forward: FeedForward, *, dropout: float, use_mixing: bool):
        super().__init__()
        self.attention = attention
        self.feed_forward = feed_forward
        self.dropout = nn.Dropout(dropout)
        self.mixing = nn.Parameter(torch.tensor([1.0, 0.0])) if use_mixing else None

    def forward(
        self,
        hidden: Tensor,
        embedded: Tensor,
        *,
        own_values: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """(batch, length, hidden_size) to the same; ``embedded`` is the stream as it was before the first block."""
        if self.mixing is not None:
            hidden = self.mixing[0] * hidden + self.mixing[1] * embedded
        attended = self.attention(normalize(hidden), own_values=own_values, mask=mask, cache=cache, layer=layer)
        hidden = hidden + self.dropout(attended)
        result: Tensor = hidden + self.dropout(self.feed_forward(normalize(hidden)))
        return result
