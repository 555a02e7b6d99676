"""Layers of the original Transformer (Vaswani et al. 2017), as GPT-2, BERT and the encoder-decoder have them: linear
layers with biases, layer normalization, scaled dot-product attention and GELU (Hendrycks & Gimpel 2016)."""

import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.models.layers.attention import attend_to_shared
from lmcore.models.layers.dropout import Dropout
from lmcore.models.layers.functional import causal_attention, masked_attention
from lmcore.models.layers.key_value_cache import KeyValueCache
from lmcore.models.layers.linear import INITIAL_STD, BiasedLinear


class LayerNorm(nn.LayerNorm):
    """Layer normalization with scale and bias (Ba et al. 2016), computed in the dtype of its input."""

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., hidden_size) to the same shape."""
        weight, bias = self.weight.to(features.dtype), self.bias.to(features.dtype)
        return F.layer_norm(features, self.normalized_shape, weight, bias, self.eps)


def embedding_table(n_rows: int, hidden_size: int) -> nn.Embedding:
    """An embedding table with normally distributed initial weights of standard deviation 0.02."""
    table = nn.Embedding(n_rows, hidden_size)
    nn.init.normal_(table.weight, std=INITIAL_STD)
    return table


class MultiHeadSelfAttention(nn.Module):
    """Scaled dot-product attention of positions to each other, with biases.

    Args:
        hidden_size: size of the residual stream.
        num_attention_heads: number of heads.
        dropout: dropout rate of the attention weights.
        output_std: standard deviation of the output layer's initial weights.
    """

    def __init__(
        self, *, hidden_size: int, num_attention_heads: int, dropout: float, output_std: float = INITIAL_STD
    ) -> None:
        super().__init__()
        self.num_attention_heads, self.dropout = num_attention_heads, dropout
        self.query_key_value = BiasedLinear(hidden_size, 3 * hidden_size)
        self.output = BiasedLinear(hidden_size, hidden_size, std=output_std)

    def forward(
        self,
        hidden: Tensor,
        *,
        is_causal: bool,
        visible: Tensor | None = None,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape.

        Args:
            hidden: the input.
            is_causal: without ``visible``, whether a position attends only to itself and those before it.
            visible: bool, broadcast to (batch, 1, length, positions): true where a query may attend.
            cache: keys and values of earlier positions; these positions are appended.
            layer: index of this layer in ``cache``.
        """
        query, key, value = _split_heads(self.query_key_value(hidden), 3, self.num_attention_heads)
        if cache:
            attended = cache.attend(layer, query, key, value, visible).transpose(1, 2).flatten(2)
        else:
            dropout = self.dropout if self.training else 0.0
            attended = _attend(query, key, value, visible, dropout, is_causal=is_causal)
        projected: Tensor = self.output(attended)
        return projected


class MultiHeadCrossAttention(nn.Module):
    """Attention of the positions of one sequence to those of another; arguments as for
    :class:`MultiHeadSelfAttention`."""

    def __init__(
        self, *, hidden_size: int, num_attention_heads: int, dropout: float, output_std: float = INITIAL_STD
    ) -> None:
        super().__init__()
        self.num_attention_heads, self.dropout = num_attention_heads, dropout
        self.query = BiasedLinear(hidden_size, hidden_size)
        self.key_value = BiasedLinear(hidden_size, 2 * hidden_size)
        self.output = BiasedLinear(hidden_size, hidden_size, std=output_std)

    def keys_and_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each (batch, heads, length, head_dim), of (batch, length, hidden_size)."""
        key, value = _split_heads(self.key_value(source), 2, self.num_attention_heads)
        return key, value

    def forward(self, hidden: Tensor, key: Tensor, value: Tensor, *, visible: Tensor | None = None) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape.

        Args:
            hidden: the input. If it has more rows than ``key``, adjacent rows share a source, and each row has one
                position.
            key: keys of the source, see :meth:`keys_and_values`.
            value: values of the source.
            visible: bool of shape (sources, 1, 1, source length), true where a query may attend; None for all.
        """
        (query,) = _split_heads(self.query(hidden), 1, self.num_attention_heads)
        if len(key) < len(query):
            attended = attend_to_shared(query, key, value, visible).transpose(1, 2).flatten(2)
        else:
            attended = _attend(query, key, value, visible, self.dropout if self.training else 0.0, is_causal=False)
        projected: Tensor = self.output(attended)
        return projected


def _split_heads(features: Tensor, n_parts: int, n_heads: int) -> tuple[Tensor, ...]:
    """Split (batch, length, parts * hidden_size) into its parts, each (batch, heads, length, head_dim)."""
    batch, length, _ = features.shape
    return features.view(batch, length, n_parts, n_heads, -1).permute(2, 0, 3, 1, 4).unbind()


def _attend(
    query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, dropout: float, *, is_causal: bool
) -> Tensor:
    """Attention of (batch, heads, length, head_dim), with the heads joined: (batch, length, hidden_size)."""
    if visible is not None:
        attended = masked_attention(query, key, value, visible, dropout)
    elif is_causal:
        attended = causal_attention(query, key, value, dropout)
    else:
        attended = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
    return attended.transpose(1, 2).flatten(2)


class GELUFeedForward(nn.Module):
    """Two linear layers with a GELU between them.

    Args:
        hidden_size: size of the input and output.
        intermediate_size: size between the two layers.
        approximate: compute GELU with a hyperbolic tangent, as GPT-2 does, and not with the error function.
        output_std: standard deviation of the output layer's initial weights.
    """

    def __init__(
        self, *, hidden_size: int, intermediate_size: int, approximate: bool, output_std: float = INITIAL_STD
    ) -> None:
        super().__init__()
        self.approximate = "tanh" if approximate else "none"
        self.input = BiasedLinear(hidden_size, intermediate_size)
        self.output = BiasedLinear(intermediate_size, hidden_size, std=output_std)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape."""
        projected: Tensor = self.output(F.gelu(self.input(hidden), approximate=self.approximate))
        return projected


class PreNormBlock(nn.Module):
    """Attention and feed-forward, each with a normalized input and added to the residual stream
    (Radford et al. 2019; Xiong et al. 2020)."""

    def __init__(
        self, attention: MultiHeadSelfAttention, feed_forward: GELUFeedForward, *, hidden_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.attention_norm = LayerNorm(hidden_size)
        self.attention = attention
        self.feed_forward_norm = LayerNorm(hidden_size)
        self.feed_forward = feed_forward
        self.dropout = Dropout(dropout)

    def forward(
        self,
        hidden: Tensor,
        *,
        is_causal: bool,
        visible: Tensor | None = None,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape; arguments as for :class:`MultiHeadSelfAttention`."""
        attended = self.attention(
            self.attention_norm(hidden), is_causal=is_causal, visible=visible, cache=cache, layer=layer
        )
        hidden = hidden + self.dropout(attended)
        result: Tensor = hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))
        return result
