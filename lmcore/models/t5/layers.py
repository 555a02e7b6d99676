"""The layers of T5: relative positions, attention without scaling or biases, pre-normalization without means."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.config.published_models import T5Config
from lmcore.models.layers.attention import attend, attend_to_shared
from lmcore.models.layers.dropout import Dropout
from lmcore.models.layers.feed_forward import FeedForward
from lmcore.models.layers.key_value_cache import KeyValueCache
from lmcore.models.layers.linear import BiasFreeLinear
from lmcore.models.layers.normalization import RMSNorm

SCALE = 1.0
"""Attention scores are not divided by ``sqrt(head_dim)``; the initial query weights are smaller instead."""


class RelativePositionBias(nn.Module):
    """Adds to the attention score of a query and a key a learned number per head that depends on their distance.

    Half of the buckets hold one distance each, the others ranges that grow up to the largest distance (Raffel et al.
    2020). All blocks of an encoder or decoder share one table.

    Args:
        config: number of buckets, the largest distance, number of heads.
        is_bidirectional: whether queries attend to later keys, which then have half of the buckets.
    """

    def __init__(self, config: T5Config, *, is_bidirectional: bool) -> None:
        super().__init__()
        self.n_buckets, self.max_distance = (
            config.relative_attention_num_buckets,
            config.relative_attention_max_distance,
        )
        self.is_bidirectional = is_bidirectional
        self.table = nn.Embedding(self.n_buckets, config.num_attention_heads)
        nn.init.normal_(self.table.weight, std=config.hidden_size**-0.5)

    def forward(self, queries: Tensor, keys: Tensor, dtype: torch.dtype) -> Tensor:
        """The bias (1, heads, queries, keys) in ``dtype`` for int64 positions (queries,) and (keys,)."""
        bias: Tensor = self.table(self.buckets(keys - queries.unsqueeze(1)))
        return bias.permute(2, 0, 1).unsqueeze(0).to(dtype)

    def buckets(self, offsets: Tensor) -> Tensor:
        """The bucket of each offset of a key from a query, int64 of the same shape."""
        n_buckets, first = self.n_buckets, torch.zeros_like(offsets)
        if self.is_bidirectional:
            n_buckets //= 2
            first = (offsets > 0) * n_buckets
            distances = offsets.abs()
        else:
            distances = (-offsets).clamp_min(0)
        n_exact = n_buckets // 2
        # In float32 like the published code, since a distance at the edge of a range must fall into the same bucket.
        growth = torch.log(distances.clamp_min(1).float() / n_exact) / math.log(self.max_distance / n_exact)
        ranges = (n_exact + (growth * (n_buckets - n_exact)).long()).clamp_max(n_buckets - 1)
        return first + distances.where(distances < n_exact, ranges)


class T5Attention(nn.Module):
    """Attention of positions to each other, or to a source."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.head_dim, self.dropout = config.head_dim, config.dropout
        inner_size = config.num_attention_heads * config.head_dim
        self.query = BiasFreeLinear(config.hidden_size, inner_size)
        self.key = BiasFreeLinear(config.hidden_size, inner_size)
        self.value = BiasFreeLinear(config.hidden_size, inner_size)
        self.output = BiasFreeLinear(inner_size, config.hidden_size, zero_init=True)
        nn.init.normal_(self.query.weight, std=(config.hidden_size * config.head_dim) ** -0.5)

    def keys_and_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each (batch, heads, length, head_dim), of (batch, length, hidden_size)."""
        return self._split_heads(self.key(source)), self._split_heads(self.value(source))

    def forward(
        self,
        hidden: Tensor,
        bias: Tensor,
        *,
        visible: Tensor | None = None,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Attention to the positions of ``hidden`` itself, (batch, length, hidden_size) to the same shape.

        Args:
            hidden: normalized input.
            bias: shape (1, heads, length, positions), added to the attention scores.
            visible: bool, broadcast to (batch, 1, length, positions), true where a query may attend; None for all.
            cache: keys and values of earlier positions; these positions are appended.
            layer: index of this layer in ``cache``.
        """
        query, (key, value) = self._split_heads(self.query(hidden)), self.keys_and_values(hidden)
        if cache:
            return self._joined(cache.attend(layer, query, key, value, visible, bias=bias, scale=SCALE))
        return self._joined(attend(query, key, value, visible, bias=bias, scale=SCALE, dropout=self._dropout_rate))

    def attend_to_source(self, hidden: Tensor, key: Tensor, value: Tensor, visible: Tensor | None) -> Tensor:
        """Attention to a source, (batch, length, hidden_size) to the same shape.

        Args:
            hidden: normalized input. If it has more rows than ``key``, adjacent rows share a source, and each row has
                one position.
            key: keys of the source, see :meth:`keys_and_values`.
            value: values of the source.
            visible: bool of shape (sources, 1, 1, source length), true where a query may attend; None for all.
        """
        query = self._split_heads(self.query(hidden))
        if len(key) < len(query):
            return self._joined(attend_to_shared(query, key, value, visible, scale=SCALE))
        attended = F.scaled_dot_product_attention(
            query, key, value, attn_mask=visible, dropout_p=self._dropout_rate, scale=SCALE
        )
        return self._joined(attended)

    @property
    def _dropout_rate(self) -> float:
        return self.dropout if self.training else 0.0

    def _split_heads(self, features: Tensor) -> Tensor:
        """Map (batch, length, heads * head_dim) to (batch, heads, length, head_dim)."""
        return features.view(*features.shape[:-1], -1, self.head_dim).transpose(1, 2)

    def _joined(self, attended: Tensor) -> Tensor:
        projected: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return projected


class T5EncoderBlock(nn.Module):
    """Attention and feed-forward, each with a normalized input and added to the residual stream."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.attention_norm = _norm(config)
        self.attention = T5Attention(config)
        self.feed_forward_norm = _norm(config)
        self.feed_forward = _feed_forward(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, hidden: Tensor, bias: Tensor, *, visible: Tensor | None = None) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape; arguments as for :class:`T5Attention`."""
        attended = self.attention(self.attention_norm(hidden), bias, visible=visible)
        hidden = hidden + self.dropout(attended)
        result: Tensor = hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))
        return result


class T5DecoderBlock(nn.Module):
    """Attention to the target, attention to the source, and feed-forward."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.attention_norm = _norm(config)
        self.attention = T5Attention(config)
        self.source_norm = _norm(config)
        self.source_attention = T5Attention(config)
        self.feed_forward_norm = _norm(config)
        self.feed_forward = _feed_forward(config)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, hidden: Tensor, bias: Tensor, encoded: Tensor, *, visible: Tensor, visible_source: Tensor | None
    ) -> Tensor:
        """Map whole targets (batch, length, hidden_size), given sources (batch, source length, hidden_size)."""
        keys, values = self.source_attention.keys_and_values(encoded)
        return self.attend_and_transform(hidden, bias, keys, values, visible_source, visible=visible)

    def attend_and_transform(
        self,
        hidden: Tensor,
        bias: Tensor,
        source_keys: Tensor,
        source_values: Tensor,
        visible_source: Tensor | None,
        *,
        visible: Tensor | None = None,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape, with the source's keys and values (batch, heads, source
        length, head_dim); the other arguments are those of :class:`T5Attention`."""
        attended = self.attention(self.attention_norm(hidden), bias, visible=visible, cache=cache, layer=layer)
        hidden = hidden + self.dropout(attended)
        normalized = self.source_norm(hidden)
        attended = self.source_attention.attend_to_source(normalized, source_keys, source_values, visible_source)
        hidden = hidden + self.dropout(attended)
        result: Tensor = hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))
        return result


def _norm(config: T5Config) -> RMSNorm:
    return RMSNorm(config.hidden_size, eps=config.layer_norm_epsilon)


def _feed_forward(config: T5Config) -> FeedForward:
    return FeedForward(
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        hidden_act=config.feed_forward_proj,
        dropout=config.dropout,
    )
