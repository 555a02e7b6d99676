"""The layers of the GPT: pre-normalization without weights, rotary positions, no biases."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.models.gpt.state import GPTState
from lmcore.models.layers.attention import attend, repeat_heads, starts_document
from lmcore.models.layers.dropout import Dropout
from lmcore.models.layers.feed_forward import FeedForward
from lmcore.models.layers.functional import normalize, rotate_normalized
from lmcore.models.layers.linear import BiasFreeLinear


class RotaryEmbedding(nn.Module):
    """Normalizes heads and rotates pairs of their features by an angle that grows with the position
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
        """Map (batch, length, heads, head_dim) to (batch, heads, length, head_dim); the first position is ``start``."""
        end = start + heads.size(1)
        return rotate_normalized(heads, self.cosine[start:end], self.sine[start:end])


class TokenShift(nn.Module):
    """Adds to each token's embedding a learned fraction of the previous one, feature by feature, so that the first
    block already sees pairs of tokens (Peng et al. 2023, RWKV; the "smear" of the modded-nanogpt speed runs)."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.zeros(hidden_size))

    def forward(
        self,
        embedded: Tensor,
        *,
        mask: Tensor | None = None,
        state: GPTState | None = None,
        document_ids: Tensor | None = None,
    ) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape.

        Args:
            embedded: embeddings of the new positions.
            mask: bool of shape (batch, positions), positions in the state included; false at padding, of which nothing
                is added to the next token.
            state: has the embeddings before these, and receives these.
            document_ids: int64 of shape (batch, length); nothing of another document is added.
        """
        start = state.length if state else 0
        before = state.last_embeddings if state else None
        first = embedded.new_zeros(1, 1, 1) if before is None else before[:, -1:]
        previous = torch.cat((first.expand(len(embedded), 1, embedded.size(2)), embedded[:, :-1]), dim=1)
        if mask is not None:
            is_text = F.pad(mask, (1, 0))[:, start : start + embedded.size(1)]
            previous = previous * is_text.unsqueeze(-1)
        if document_ids is not None:
            previous = previous.masked_fill(starts_document(document_ids).unsqueeze(-1), 0.0)
        if state:
            state.last_embeddings = embedded
        return torch.addcmul(embedded, previous, self.share.to(embedded.dtype))


class ValueEmbedding(nn.Module):
    """A per-layer table of token embeddings that is added to the attention values, independent of the context (the
    "value embeddings" of the modded-nanogpt speed runs)."""

    def __init__(self, vocabulary_size: int, hidden_size: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary_size, hidden_size)
        nn.init.normal_(self.table.weight, std=0.02)
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, tokens: Tensor, dtype: torch.dtype) -> Tensor:
        """Map int64 tokens (batch, length) to (batch, length, hidden_size) in ``dtype``."""
        return normalize(self.table(tokens).to(dtype)) * self.weight.to(dtype)


class SelfAttention(nn.Module):
    """Causal multi-head self-attention with rotary positions and normalized queries and keys (Vaswani et al. 2017;
    Henry et al. 2020 for the normalization; Ainslie et al. 2023 for fewer key-value heads than query heads)."""

    def __init__(
        self, *, hidden_size: int, num_attention_heads: int, num_key_value_heads: int, rotary: RotaryEmbedding
    ) -> None:
        super().__init__()
        self.head_dim = hidden_size // num_attention_heads
        self.group_size = num_attention_heads // num_key_value_heads
        key_value_size = self.head_dim * num_key_value_heads
        self.rotary = rotary
        self.query = BiasFreeLinear(hidden_size, hidden_size)
        self.key = BiasFreeLinear(hidden_size, key_value_size)
        self.value = BiasFreeLinear(hidden_size, key_value_size)
        self.output = BiasFreeLinear(hidden_size, hidden_size, zero_init=True)

    def forward(
        self,
        hidden: Tensor,
        *,
        value_embedding: Tensor | None = None,
        visible: Tensor | None = None,
        state: GPTState | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape.

        Args:
            hidden: normalized input.
            value_embedding: shape (batch, length, key-value heads * head_dim), added to the values.
            visible: bool of shape (batch, 1, length, positions), true where a query may attend; None for causal
                attention.
            state: keys and values of earlier positions; these positions are appended.
            layer: index of this layer in ``state``.
        """
        start = state.length if state else 0
        query = self.rotary(self._split_heads(self.query(hidden)), start)
        key = self.rotary(self._split_heads(self.key(hidden)), start)
        values = self.value(hidden) if value_embedding is None else self.value(hidden) + value_embedding
        value = self._split_heads(values).transpose(1, 2)
        if state:
            attended = state.attend(layer, query, key, value, visible)
        else:
            key, value = (repeat_heads(part, self.group_size) for part in (key, value))
            attended = attend(query, key, value, visible)
        projected: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return projected

    def _split_heads(self, features: Tensor) -> Tensor:
        """Map (batch, length, hidden_size) to (batch, length, heads, head_dim)."""
        return features.view(*features.shape[:-1], -1, self.head_dim)


class DecoderBlock(nn.Module):
    """Attention and feed-forward, each with a normalized input and added to the residual stream.

    With residual mixing, the stream is first mixed with the token embeddings by two learned scalars (the "x0 lambdas"
    of the modded-nanogpt speed runs).
    """

    def __init__(self, attention: SelfAttention, feed_forward: FeedForward, *, dropout: float, use_mixing: bool):
        super().__init__()
        self.attention = attention
        self.feed_forward = feed_forward
        self.dropout = Dropout(dropout)
        self.mixing = nn.Parameter(torch.tensor([1.0, 0.0])) if use_mixing else None

    def forward(
        self,
        hidden: Tensor,
        embedded: Tensor,
        *,
        value_embedding: Tensor | None = None,
        visible: Tensor | None = None,
        state: GPTState | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape; ``embedded`` is the input of the first block. The other
        arguments are those of :class:`SelfAttention`."""
        if self.mixing is not None:
            hidden = self.mixing[0] * hidden + self.mixing[1] * embedded
        attended = self.attention(
            normalize(hidden), value_embedding=value_embedding, visible=visible, state=state, layer=layer
        )
        hidden = hidden + self.dropout(attended)
        result: Tensor = hidden + self.dropout(self.feed_forward(normalize(hidden)))
        return result
