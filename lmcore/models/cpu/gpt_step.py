"""The GPT on one more position, as generation asks for it, in as few operations as that takes.

With one token at a time a processor waits for each operation to begin more than for its arithmetic. So queries, keys
and values come from one product, weights are cast once, and what training needs on the way back is left out. It
computes what :meth:`GPT.hidden` does, which the tests hold it against.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.models.layers.key_value_cache import KeyValueCache
from lmcore.models.layers.modern import (
    DecoderBlock,
    FeedForward,
    Linear,
    RotaryEmbedding,
    SelfAttention,
    TokenShift,
    ValueEmbedding,
)

if TYPE_CHECKING:
    from lmcore.models.gpt.model import GPT

PLAIN_LAYERS = {
    DecoderBlock,
    FeedForward,
    Linear,
    RotaryEmbedding,
    SelfAttention,
    TokenShift,
    ValueEmbedding,
    nn.Dropout,
    nn.Embedding,
    nn.ModuleList,
}
"""The layers whose weights a step reads by itself."""


@dataclass(frozen=True)
class StepLayer:
    """One block's weights in the dtype of the activations; those on the way out transposed."""

    mixing: tuple[float, float] | None
    query_key_value: Tensor
    attention_output: Tensor
    feed_forward_input: Tensor
    gate: Tensor | None
    feed_forward_output: Tensor

    @classmethod
    def of(cls, block: DecoderBlock, dtype: torch.dtype) -> "StepLayer":
        """What a step needs of ``block``."""
        attention, feed_forward = block.attention, block.feed_forward
        weights = torch.cat([layer.weight for layer in (attention.query, attention.key, attention.value)])
        return cls(
            mixing=None if block.mixing is None else (float(block.mixing[0]), float(block.mixing[1])),
            query_key_value=weights.to(dtype),
            attention_output=attention.output.weight.to(dtype).T,
            feed_forward_input=feed_forward.input.weight.to(dtype),
            gate=None if feed_forward.gate is None else feed_forward.gate.weight.to(dtype),
            feed_forward_output=feed_forward.output.weight.to(dtype).T,
        )

    def feed_forward(self, normalized: Tensor) -> Tensor:
        """The hidden layer (batch, intermediate_size) between two attentions."""
        expanded = F.linear(normalized, self.feed_forward_input)
        if self.gate is None:
            return F.relu(expanded).square_()
        return F.silu(F.linear(normalized, self.gate)).mul_(expanded)


class GPTStep:
    """A GPT's weights, prepared for many steps.

    Args:
        model: does not change as long as this is used.
    """

    def __init__(self, model: "GPT") -> None:
        dtype = model.compute_dtype
        config = model.config
        blocks = [block for block in model.blocks if isinstance(block, DecoderBlock)]
        self.model = model
        self.dtype = dtype
        self.layers = [StepLayer.of(block, dtype) for block in blocks]
        self.num_attention_heads, self.num_key_value_heads = config.num_attention_heads, config.num_key_value_heads
        self.n_turned = config.num_attention_heads + config.num_key_value_heads
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.share = None if model.token_shift is None else model.token_shift.share.to(dtype)
        embeddings = [module for module in model.value_embeddings if isinstance(module, ValueEmbedding)]
        self.tables = [embedding.table.weight for embedding in embeddings]
        if embeddings:
            weights = torch.stack([embedding.weight for embedding in embeddings])
            self.table_weights = weights.to(dtype).view(-1, 1, 1)
        # Rotating is a sum of two products, with the halves of each head the other way round in the second.
        rotary = blocks[0].attention.rotary
        self.cosine = torch.cat((rotary.cosine, rotary.cosine), dim=1).to(dtype)
        self.sine = torch.cat((-rotary.sine, rotary.sine), dim=1).to(dtype)
        self.output_weight = model.output_weight.to(dtype)

    @staticmethod
    def fits(model: "GPT") -> bool:
        """Whether the model is made of its own layers alone: none was replaced by, or wrapped into, one that does
        more, such as an adapter."""
        return not model.training and all(
            type(module) in PLAIN_LAYERS for module in model.modules() if module is not model
        )

    def __call__(self, tokens: Tensor, cache: KeyValueCache, mask: Tensor | None) -> Tensor:
        """Next-token logits, float32 (batch, vocabulary), behind one token per text, int64 (batch, 1).

        Args:
            tokens: the new ones.
            cache: of the positions before; moved on by one.
            mask: boolean (batch, positions), false where a text is filled up on the left; None where none is.
        """
        tokens = tokens[:, 0]
        position = cache.length
        visible = None if mask is None else mask[:, None, None, :]
        stream = embedded = self._embed(tokens, cache, mask)
        own_values = self._own_values(tokens)
        for layer, weights in enumerate(self.layers):
            if weights.mixing is not None:
                stream = torch.add(stream * weights.mixing[0], embedded, alpha=weights.mixing[1])
            product = F.linear(_normalized(stream), weights.query_key_value)
            heads = product.view(len(tokens), -1, self.head_dim)
            turned = self._turn(heads[:, : self.n_turned], position)
            value = heads[:, self.n_turned :]
            if own_values is not None:
                value = value + own_values[layer]
            query, key = (
                turned[:, : self.num_attention_heads].unsqueeze(2),
                turned[:, self.num_attention_heads :].unsqueeze(2),
            )
            attended = cache.attend(layer, query, key, value.unsqueeze(2), visible)
            stream = torch.addmm(stream, attended.reshape(len(tokens), -1), weights.attention_output)
            stream = torch.addmm(stream, weights.feed_forward(_normalized(stream)), weights.feed_forward_output)
        cache.advance(1)
        logits = F.linear(_normalized(stream), self.output_weight).float()
        cap = self.model.config.final_logit_softcapping
        return logits if cap is None else logits.div_(cap).tanh_().mul_(cap)

    def _embed(self, tokens: Tensor, cache: KeyValueCache, mask: Tensor | None) -> Tensor:
        """(batch, hidden_size), with the share of the token before where the model has that."""
        embedded = _normalized(F.embedding(tokens, self.model.embedding.weight).to(self.dtype))
        if self.share is None:
            return embedded
        previous, cache.last_embedding = cache.last_embedding, embedded.unsqueeze(1)
        if previous is None:
            return embedded
        previous = previous[:, 0]
        if mask is not None:
            previous = previous * mask[:, -2:-1]
        return torch.addcmul(embedded, previous, self.share)

    def _own_values(self, tokens: Tensor) -> Tensor | None:
        """What the tokens say of themselves in each layer, (layers, batch, key-value heads, head_dim)."""
        if not self.tables:
            return None
        looked_up = torch.stack([F.embedding(tokens, table) for table in self.tables]).to(self.dtype)
        weighted = _normalized(looked_up) * self.table_weights
        return weighted.view(*weighted.shape[:2], -1, self.head_dim)

    def _turn(self, heads: Tensor, position: int) -> Tensor:
        """Normalize and rotate (batch, heads, head_dim)."""
        normalized = _normalized(heads)
        swapped = normalized.roll(self.head_dim // 2, dims=-1)
        return torch.addcmul(normalized * self.cosine[position], swapped, self.sine[position])


def _normalized(hidden: Tensor) -> Tensor:
    """As :func:`lmcore.models.cpu.fused.normalize`, without a way back."""
    norm: Tensor = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True, dtype=torch.float32)
    return hidden * norm.clamp_min_(1e-6).reciprocal_().mul_(math.sqrt(hidden.size(-1))).to(hidden.dtype)
