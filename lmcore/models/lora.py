"""Low-rank adapters (LoRA): fine-tuning a large model by training small matrices in parallel to its own (Hu et al.
2021, https://arxiv.org/abs/2106.09685)."""

import re
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.errors import UserError
from lmcore.models.layers.dropout import Dropout

BLOCKS = r"blocks\."
"""Matches the names of the linear layers inside the blocks of every Transformer."""


class LoRALinear(nn.Module):
    """A frozen linear layer with an adapter: ``base(x) + alpha / rank * up(down(dropout(x)))``.

    It starts as ``base``: the initial ``down`` is random, the initial ``up`` is zero.

    Args:
        base: the linear layer, which does not change.
        rank: the adapter's inner size.
        alpha: the scale of the adapter's output, divided by the rank.
        dropout: dropout rate of the adapter's input.
        generator: random generator for the adapter's weights, on the CPU.
    """

    def __init__(self, base: nn.Linear, *, rank: int, alpha: float, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.base = base
        self.scale = alpha / rank
        self.dropout = Dropout(dropout)
        self.is_merged = False
        # Maps inputs of unit variance to unit variance, whatever the rank.
        down = torch.randn(rank, base.in_features, generator=generator) * base.in_features**-0.5
        self.down = nn.Parameter(down.to(base.weight.device))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank, device=base.weight.device))
        self.train(base.training)

    def extra_repr(self) -> str:
        """The adapter's rank and scale, for ``print(model)``."""
        return f"rank={len(self.down)}, scale={self.scale:g}"

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs) in the dtype of ``features``."""
        result: Tensor = self.base(features)
        if self.is_merged:
            return result
        inner = F.linear(self.dropout(features), self.down.to(features.dtype))
        return result + F.linear(inner, self.up.to(features.dtype)) * self.scale

    @torch.no_grad()
    def merge(self) -> None:
        """Add the adapter to the weights of ``base``, so that it costs no time."""
        if not self.is_merged:
            self.base.weight.add_(self.up @ self.down, alpha=self.scale)
            self.is_merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Subtract the adapter from the weights of ``base``, which are then as before, up to rounding."""
        if self.is_merged:
            self.base.weight.sub_(self.up @ self.down, alpha=self.scale)
            self.is_merged = False


def add_lora(
    model: nn.Module,
    *,
    rank: int,
    alpha: float,
    dropout: float,
    generator: torch.Generator,
    pattern: str = BLOCKS,
) -> list[str]:
    """Add adapters to linear layers of ``model``, in place, and freeze everything else.

    Args:
        model: a model with linear layers.
        rank: the adapters' inner size.
        alpha: the scale of the adapters' output, divided by the rank.
        dropout: dropout rate of the adapters' input.
        generator: random generator for the adapters' weights, on the CPU.
        pattern: a regular expression that is searched in the names of the linear layers. Only layers that the model
            calls can have an adapter; the output layer, whose weights the loss reads, cannot.

    Returns:
        the names of the layers that have an adapter.

    Raises:
        UserError: the model already has adapters, or no linear layer matches.
    """
    if any(True for _ in named_adapters(model)):
        raise UserError("the model already has adapters: merge them first, or continue training them")
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    chosen = {name: module for name, module in linears.items() if re.search(pattern, name)}
    if not chosen:
        raise UserError(f"no linear layer matches {pattern!r}; expected one of {', '.join(linears) or 'none'}")
    model.requires_grad_(False)
    for name, linear in chosen.items():
        _replace(model, name, LoRALinear(linear, rank=rank, alpha=alpha, dropout=dropout, generator=generator))
    return list(chosen)


def merge_lora(model: nn.Module) -> None:
    """Merge every adapter into its layer: the same model, as fast as one without adapters."""
    for _, adapter in named_adapters(model):
        adapter.merge()


def unmerge_lora(model: nn.Module) -> None:
    """Undo :func:`merge_lora`, so that the adapters can be trained further or replaced."""
    for _, adapter in named_adapters(model):
        adapter.unmerge()


def merge_and_unload(model: nn.Module) -> None:
    """Merge the adapters and remove them: ``model`` is an ordinary model again, with all weights trainable."""
    for name, adapter in list(named_adapters(model)):
        adapter.merge()
        _replace(model, name, adapter.base)
    model.requires_grad_(True)


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """The weights of the adapters by name: all that fine-tuning has changed."""
    return {
        f"{name}.{part}": weight.detach()
        for name, adapter in named_adapters(model)
        for part, weight in (("down", adapter.down), ("up", adapter.up))
    }


@torch.no_grad()
def load_adapter_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load the result of :func:`adapter_state` into a model with adapters of the same shapes.

    Raises:
        UserError: the names or shapes differ, or the adapters are merged.
    """
    own = adapter_state(model)
    if own.keys() != state.keys():
        raise UserError(f"the adapters differ: {sorted(own.keys() ^ state.keys())} are not in both models")
    if any(adapter.is_merged for _, adapter in named_adapters(model)):
        raise UserError("the adapters are merged into the weights: unmerge them before loading other adapters")
    for name, weight in own.items():
        if weight.shape != state[name].shape:
            found, expected = tuple(state[name].shape), tuple(weight.shape)
            raise UserError(f"{name} has shape {found}, expected {expected}: use the same rank")
    for name, weight in own.items():
        weight.copy_(state[name])


def named_adapters(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """The adapters of a model by the names of their layers."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, LoRALinear))


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, module)
