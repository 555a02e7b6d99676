"""Attention weights of a Transformer, computed from the inputs of its layers, since the fast path never stores them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lmcore.errors import UserError
from lmcore.models.generative import GenerativeModel
from lmcore.models.gpt.layers import SelfAttention


@torch.inference_mode()
def attention_maps(model: GenerativeModel, tokens: Sequence[int]) -> Tensor:
    """Attention weights, float32 (layers, heads, length, length) on the CPU; the row of each query sums to one.

    Raises:
        UserError: if the model has no self-attention layers.
    """
    layers = _attention_layers(model)
    if not layers:
        raise UserError(f"a {type(model).__name__} has no attention maps: it has no self-attention layers")
    inputs: dict[nn.Module, Tensor] = {}

    def keep_input(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        inputs[module] = arguments[0]

    hooks = [layer.register_forward_pre_hook(keep_input) for layer in layers]
    try:
        model.eval()
        model(torch.tensor([list(tokens)], device=model.device))
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack([_weights(layer, inputs[layer])[0] for layer in layers]).cpu()


def has_attention(model: GenerativeModel) -> bool:
    """Whether :func:`attention_maps` supports this model."""
    return bool(_attention_layers(model))


def _attention_layers(model: GenerativeModel) -> list[SelfAttention]:
    return [module for module in model.modules() if isinstance(module, SelfAttention)]


def _weights(layer: SelfAttention, hidden: Tensor) -> Tensor:
    """The weights (batch, heads, length, length) of one layer, for its input (batch, length, hidden_size)."""
    query, key = (
        layer.rotary(features.unflatten(-1, (-1, layer.head_dim))).float()
        for features in (layer.query(hidden), layer.key(hidden))
    )
    key = key.repeat_interleave(layer.group_size, dim=1)
    scores = query @ key.transpose(-1, -2) * layer.head_dim**-0.5
    future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu_(1)
    weights: Tensor = scores.masked_fill(future, -torch.inf).softmax(dim=-1)
    return weights
