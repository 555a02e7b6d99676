"""Prepares the GPT's weights for :func:`lmcore.models.cpu.gpt_decoding.decode`."""

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from lmcore.config.models import GPTConfig
from lmcore.models.cpu.gpt_decoding import BlockWeights, GPTWeights
from lmcore.models.cpu.packed_linear import PackedLinear
from lmcore.models.gpt.layers import (
    DecoderBlock,
    RotaryEmbedding,
    SelfAttention,
    TokenShift,
    ValueEmbedding,
)
from lmcore.models.gpt.ngram_heads import NgramHeads
from lmcore.models.layers.dropout import Dropout
from lmcore.models.layers.feed_forward import FeedForward
from lmcore.models.layers.linear import BiasFreeLinear

PLAIN_LAYERS = {
    BiasFreeLinear,
    DecoderBlock,
    FeedForward,
    NgramHeads,
    RotaryEmbedding,
    SelfAttention,
    TokenShift,
    ValueEmbedding,
    Dropout,
    nn.Embedding,
    nn.ModuleList,
}
"""The layers whose weights decoding reads."""


def has_plain_layers(model: nn.Module) -> bool:
    """Whether a model consists of its own layers alone: none is replaced or wrapped, for example by an adapter."""
    return all(type(module) in PLAIN_LAYERS for module in model.modules() if module is not model)


def prepare_weights(
    config: GPTConfig,
    *,
    embedding: nn.Embedding,
    token_shift: TokenShift | None,
    ngram_heads: NgramHeads | None,
    blocks: Sequence[DecoderBlock],
    value_embeddings: Iterable[ValueEmbedding],
    output_weight: Tensor,
    dtype: torch.dtype,
    in_8bit: bool,
) -> GPTWeights:
    """The weights of a GPT's layers in the form that decoding computes with, in ``dtype``; those of matrix products in
    8 bits on request."""
    value_embeddings = list(value_embeddings)
    scales: list[Tensor] = [value_embedding.weight for value_embedding in value_embeddings]
    rotary = blocks[0].attention.rotary
    return GPTWeights(
        blocks=tuple(_block_weights(block, dtype, in_8bit=in_8bit) for block in blocks),
        embedding=embedding.weight,
        token_shift=None if token_shift is None else token_shift.share.to(dtype),
        ngram_heads=None if ngram_heads is None else partial(ngram_heads, embedding),
        value_tables=tuple(value_embedding.table.weight for value_embedding in value_embeddings),
        value_scales=torch.stack(scales).to(dtype).view(-1, 1, 1) if scales else None,
        cosine=torch.cat((rotary.cosine, rotary.cosine), dim=1).to(dtype),
        sine=torch.cat((-rotary.sine, rotary.sine), dim=1).to(dtype),
        output=PackedLinear(output_weight, None, dtype, in_8bit=in_8bit),
        cap=config.final_logit_softcapping,
        n_heads=config.num_attention_heads,
        n_key_value_heads=config.num_key_value_heads,
        dtype=dtype,
    )


def _block_weights(block: DecoderBlock, dtype: torch.dtype, *, in_8bit: bool) -> BlockWeights:
    attention, feed_forward = block.attention, block.feed_forward
    query_key_value = torch.cat([layer.weight for layer in (attention.query, attention.key, attention.value)])

    def packed(weight: Tensor) -> PackedLinear:
        return PackedLinear(weight, None, dtype, in_8bit=in_8bit)

    return BlockWeights(
        mixing=None if block.mixing is None else (float(block.mixing[0]), float(block.mixing[1])),
        query_key_value=packed(query_key_value),
        attention_output=packed(attention.output.weight),
        feed_forward_input=packed(feed_forward.input.weight),
        gate=None if feed_forward.gate is None else packed(feed_forward.gate.weight),
        feed_forward_output=packed(feed_forward.output.weight),
    )
