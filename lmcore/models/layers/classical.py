"""The bricks of the classical Transformers: linear maps with biases, layer normalization, plain attention
(Vaswani et al. 2017) and GELU (Hendrycks & Gimpel 2016)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.errors import UserError
from lmcore.models.causal import visible_positions
from lmcore.models.cpu.fused import causal_attention
from lmcore.models.layers.key_value_cache import KeyValueCache, attend_to_shared

INITIAL_DEVIATION = 0.02


class BiasedLinear(nn.Linear):
    """A linear map with a bias, computed in the dtype of what it is given.

    Args:
        deviation: the standard deviation that its weights are drawn with.
    """

    def __init__(self, n_inputs: int, n_outputs: int, *, deviation: float = INITIAL_DEVIATION) -> None:
        self.deviation = deviation
        super().__init__(n_inputs, n_outputs)

    def reset_parameters(self) -> None:
        """Draw the weights anew from torch's current generator; the biases are zero."""
        nn.init.normal_(self.weight, std=self.deviation)
        nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        return F.linear(features, self.weight.to(features.dtype), self.bias.to(features.dtype))


class LayerNorm(nn.LayerNorm):
    """Layer normalization with scale and bias (Ba et al. 2016), computed in the dtype of what it is given."""

    def forward(self, features: Tensor) -> Tensor:
        """(..., hidden_size) to the same."""
        weight, bias = self.weight.to(features.dtype), self.bias.to(features.dtype)
        return F.layer_norm(features, self.normalized_shape, weight, bias, self.eps)


def embedding_table(n_rows: int, hidden_size: int) -> nn.Embedding:
    """A table of vectors drawn as those of all classical Transformers."""
    table = nn.Embedding(n_rows, hidden_size)
    nn.init.normal_(table.weight, std=INITIAL_DEVIATION)
    return table


class MultiHeadSelfAttention(nn.Module):
    """Scaled dot-product attention of positions to each other, with biases.

    Args:
        dropout: of the attention weights.
        output_deviation: with which the weights of the map back into the residual stream are drawn.
    """

    def __init__(
        self, *, hidden_size: int, num_attention_heads: int, dropout: float, output_deviation: float = INITIAL_DEVIATION
    ) -> None:
        super().__init__()
        self.num_attention_heads, self.dropout = num_attention_heads, dropout
        self.query_key_value = BiasedLinear(hidden_size, 3 * hidden_size)
        self.output = BiasedLinear(hidden_size, hidden_size, deviation=output_deviation)

    def forward(
        self,
        hidden: Tensor,
        *,
        is_causal: bool,
        visible: Tensor | None = None,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Attend within (batch, length, hidden_size).

        Args:
            is_causal: without ``visible``, whether a position sees only itself and those before it.
            visible: boolean, to be spread over (batch, 1, length, positions): true where a query may look.
            cache: positions before these; extended by these.
        """
        query, key, value = split_heads(self.query_key_value(hidden), 3, self.num_attention_heads)
        if cache:
            attended = cache.attend(layer, query, key, value, visible).transpose(1, 2).flatten(2)
        else:
            dropout = self.dropout if self.training else 0.0
            attended = attend(query, key, value, visible, dropout, is_causal=is_causal)
        projected: Tensor = self.output(attended)
        return projected


class MultiHeadCrossAttention(nn.Module):
    """Attention of one sequence's positions to those of another; arguments as for :class:`MultiHeadSelfAttention`."""

    def __init__(
        self, *, hidden_size: int, num_attention_heads: int, dropout: float, output_deviation: float = INITIAL_DEVIATION
    ) -> None:
        super().__init__()
        self.num_attention_heads, self.dropout = num_attention_heads, dropout
        self.query = BiasedLinear(hidden_size, hidden_size)
        self.key_value = BiasedLinear(hidden_size, 2 * hidden_size)
        self.output = BiasedLinear(hidden_size, hidden_size, deviation=output_deviation)

    def keys_and_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each (batch, heads, length, head_dim), of (batch, length, hidden_size)."""
        key, value = split_heads(self.key_value(source), 2, self.num_attention_heads)
        return key, value

    def forward(self, hidden: Tensor, key: Tensor, value: Tensor, *, visible: Tensor | None = None) -> Tensor:
        """(batch, length, hidden_size) to the same; ``visible`` is boolean, true where the source may be looked at.

        Rows beside each other share a source where there are fewer sources than rows; each then has one position.
        """
        (query,) = split_heads(self.query(hidden), 1, self.num_attention_heads)
        if len(key) < len(query):
            attended = attend_to_shared(query, key, value, visible).transpose(1, 2).flatten(2)
        else:
            attended = attend(query, key, value, visible, self.dropout if self.training else 0.0, is_causal=False)
        projected: Tensor = self.output(attended)
        return projected


def split_heads(features: Tensor, n_parts: int, num_attention_heads: int) -> tuple[Tensor, ...]:
    """(batch, length, parts * hidden_size) to so many parts, each (batch, heads, length, hidden_size / heads)."""
    batch, length, _ = features.shape
    return features.view(batch, length, n_parts, num_attention_heads, -1).permute(2, 0, 3, 1, 4).unbind()


def attend(
    query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, dropout: float, *, is_causal: bool
) -> Tensor:
    """Attention of (batch, heads, length, head_dim), the heads brought together again: (batch, length, hidden_size)."""
    if is_causal and visible is None and not dropout:
        attended = causal_attention(query, key, value)
    else:
        attended = F.scaled_dot_product_attention(
            query, key, value, attn_mask=visible, dropout_p=dropout, is_causal=is_causal and visible is None
        )
    return attended.transpose(1, 2).flatten(2)


class GELUFeedForward(nn.Module):
    """Two linear maps around a GELU.

    Args:
        approximate: compute GELU by a hyperbolic tangent, as GPT-2 does, and not by the error function.
        output_deviation: with which the weights of the map back into the residual stream are drawn.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        intermediate_size: int,
        approximate: bool,
        output_deviation: float = INITIAL_DEVIATION,
    ) -> None:
        super().__init__()
        self.approximate = "tanh" if approximate else "none"
        self.input = BiasedLinear(hidden_size, intermediate_size)
        self.output = BiasedLinear(intermediate_size, hidden_size, deviation=output_deviation)

    def forward(self, hidden: Tensor) -> Tensor:
        """(batch, length, hidden_size) to the same."""
        projected: Tensor = self.output(F.gelu(self.input(hidden), approximate=self.approximate))
        return projected


class PreNormBlock(nn.Module):
    """Attention and feed-forward, each normalized on the way in and added to the residual stream
    (Radford et al. 2019; Xiong et al. 2020)."""

    def __init__(
        self, attention: MultiHeadSelfAttention, feed_forward: GELUFeedForward, *, hidden_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.attention_norm = LayerNorm(hidden_size)
        self.attention = attention
        self.feed_forward_norm = LayerNorm(hidden_size)
        self.feed_forward = feed_forward
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        hidden: Tensor,
        *,
        is_causal: bool,
        visible: Tensor | None = None,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """(batch, length, hidden_size) to the same; arguments as for :class:`MultiHeadSelfAttention`."""
        attended = self.attention(
            self.attention_norm(hidden), is_causal=is_causal, visible=visible, cache=cache, layer=layer
        )
        hidden = hidden + self.dropout(attended)
        result: Tensor = hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))
        return result


def check_context(n_positions: int, max_position_embeddings: int) -> None:
    """Refuse more positions than a model has.

    Raises:
        ValueError: if there are more.
    """
    if n_positions > max_position_embeddings:
        raise UserError(
            f"{n_positions} tokens do not fit the context of {max_position_embeddings}: shorten the input "
            "or train with a larger pretrain.model.max_position_embeddings"
        )


def text_positions(n_new: int, start: int, mask: Tensor | None, device: torch.device) -> Tensor:
    """The positions of new tokens, int64 (length,) or (batch, length), counted from each sequence's first text.

    Args:
        n_new: how many new tokens there are in each sequence.
        start: how many come before them.
        mask: boolean (batch, start + n_new), false where a sequence is filled up on the left, if any is.
    """
    if mask is None:
        return torch.arange(start, start + n_new, device=device)
    return (mask.cumsum(dim=1) - 1).clamp_min(0)[:, start:]


def causally_visible(n_new: int, start: int, mask: Tensor | None, device: torch.device) -> Tensor | None:
    """Which positions new tokens may attend to, boolean (batch or 1, 1, n_new, positions); None where causality
    alone says it. Arguments as for :func:`text_positions`."""
    if mask is not None:
        return visible_positions(mask, n_new)
    if start and n_new > 1:
        return visible_positions(torch.ones(1, start + n_new, dtype=torch.bool, device=device), n_new)
    return None


def visible_text(is_text: Tensor) -> Tensor | None:
    """Which positions all may attend to, boolean (batch, 1, 1, length); None where there is nothing but text.

    Args:
        is_text: boolean (batch, length). Of a sequence without any text everything is visible, since looking at
            nothing has no result.
    """
    if is_text.all():
        return None
    return (is_text | ~is_text.any(dim=1, keepdim=True))[:, None, None]
