"""Prepares GPT-2's weights for :func:`lmcore.models.cpu.gpt2_decoding.decode`."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lmcore.models.cpu.gpt2_decoding import GPT2Block, GPT2Weights, Norm
from lmcore.models.cpu.packed_linear import PackedLinear
from lmcore.models.layers.dropout import Dropout
from lmcore.models.layers.linear import BiasedLinear
from lmcore.models.layers.transformer import GELUFeedForward, LayerNorm, MultiHeadSelfAttention, PreNormBlock

PLAIN_LAYERS = {
    BiasedLinear,
    GELUFeedForward,
    LayerNorm,
    MultiHeadSelfAttention,
    PreNormBlock,
    Dropout,
    nn.Embedding,
    nn.ModuleList,
}
"""The layers whose weights decoding reads."""


def has_plain_layers(model: nn.Module) -> bool:
    """Whether a model consists of its own layers alone: none is replaced or wrapped, for example by an adapter."""
    return all(type(module) in PLAIN_LAYERS for module in model.modules() if module is not model)


def prepare_weights(
    *,
    embedding: Tensor,
    positions: Tensor,
    blocks: Sequence[PreNormBlock],
    final_norm: LayerNorm,
    dtype: torch.dtype,
    in_8bit: bool,
) -> GPT2Weights:
    """The weights of GPT-2's layers in the form that decoding computes with, in ``dtype``; those of matrix products in
    8 bits on request."""

    def packed(layer: BiasedLinear) -> PackedLinear:
        return PackedLinear(layer.weight, layer.bias, dtype, in_8bit=in_8bit)

    def norm(layer: LayerNorm) -> Norm:
        return Norm(layer.weight.detach().to(dtype), layer.bias.detach().to(dtype), layer.eps)

    return GPT2Weights(
        blocks=tuple(
            GPT2Block(
                attention_norm=norm(block.attention_norm),
                query_key_value=packed(block.attention.query_key_value),
                attention_output=packed(block.attention.output),
                feed_forward_norm=norm(block.feed_forward_norm),
                feed_forward_input=packed(block.feed_forward.input),
                feed_forward_output=packed(block.feed_forward.output),
            )
            for block in blocks
        ),
        embedding=embedding,
        positions=positions,
        final_norm=norm(final_norm),
        output=PackedLinear(embedding, None, dtype, in_8bit=in_8bit),
        n_heads=blocks[0].attention.num_attention_heads,
        dtype=dtype,
    )
