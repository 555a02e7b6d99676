"""Low-rank adapters: a large model is fine-tuned by small matrices beside its own (Hu et al. 2021,
https://arxiv.org/abs/2106.09685)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lmcore.errors import UserError
from lmcore.runtime.files import atomic_file

BLOCKS = r"blocks\."
"""Matches the names of the linear maps inside the blocks of every family."""


class LoRALinear(nn.Module):
    """A linear map that stays as it is, and an adapter beside it: ``base(x) + alpha / rank * up(down(dropout(x)))``.

    It starts as ``base``: the adapter's way down is drawn, its way up zero.

    Args:
        base: the map, which is kept.
        rank: the adapter's inner size.
        alpha: the weight of what the adapter says, to be divided by the rank.
        dropout: of the adapter's input.
        generator: for the adapter's weights; on the processor.
    """

    def __init__(self, base: nn.Linear, *, rank: int, alpha: float, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.base = base
        self.scale = alpha / rank
        self.dropout = nn.Dropout(dropout)
        self.is_merged = False
        # Inputs of unit variance come down with unit variance, whatever the rank.
        down = torch.randn(rank, base.in_features, generator=generator) * base.in_features**-0.5
        self.down = nn.Parameter(down.to(base.weight.device))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank, device=base.weight.device))
        self.train(base.training)

    def extra_repr(self) -> str:
        """The adapter's size and weight, for ``print(model)``."""
        return f"rank={len(self.down)}, scale={self.scale:g}"

    def forward(self, features: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs), the adapter computed in the dtype of ``features``."""
        result: Tensor = self.base(features)
        if self.is_merged:
            return result
        inner = F.linear(self.dropout(features), self.down.to(features.dtype))
        return result + F.linear(inner, self.up.to(features.dtype)) * self.scale

    @torch.no_grad()
    def merge(self) -> None:
        """Add the adapter to the map's own weights; it costs nothing from then on."""
        if not self.is_merged:
            self.base.weight.add_(self.up @ self.down, alpha=self.scale)
            self.is_merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take the adapter out of the map's own weights, which are then as before, up to rounding."""
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
    """Put an adapter beside linear maps of ``model``, in place, and let the adapters alone be trained.

    Args:
        model: of any family.
        rank: the adapters' inner size.
        alpha: the weight of what they say, to be divided by the rank.
        dropout: of their inputs.
        generator: for their weights; on the processor.
        pattern: a regular expression found in the names of the maps that get one. Only maps that the model calls can
            have one; the output weights, which the loss reads, are none of these.

    Returns:
        the names of these maps.

    Raises:
        ValueError: if the model has adapters already, or no linear map matches.
    """
    if any(True for _ in _adapters(model)):
        raise UserError("the model already has adapters: merge them first, or continue training them")
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    chosen = {name: module for name, module in linears.items() if re.search(pattern, name)}
    if not chosen:
        raise UserError(f"no linear map's name matches {pattern!r}; there are {', '.join(linears) or 'none'}")
    model.requires_grad_(False)
    for name, linear in chosen.items():
        _replace(model, name, LoRALinear(linear, rank=rank, alpha=alpha, dropout=dropout, generator=generator))
    return list(chosen)


def merge_lora(model: nn.Module) -> None:
    """Add every adapter to the weights that it stands beside: the same model, as fast as one without adapters."""
    for _, adapter in _adapters(model):
        adapter.merge()


def unmerge_lora(model: nn.Module) -> None:
    """Undo :func:`merge_lora`, so that the adapters can be trained further or exchanged."""
    for _, adapter in _adapters(model):
        adapter.unmerge()


def fold_lora(model: nn.Module) -> None:
    """Merge the adapters for good: ``model`` is an ordinary one again, all of it trainable."""
    for name, adapter in list(_adapters(model)):
        adapter.merge()
        _replace(model, name, adapter.base)
    model.requires_grad_(True)


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """The adapters' weights alone, by name: all that a fine-tuning has changed."""
    return {
        f"{name}.{part}": weight.detach()
        for name, adapter in _adapters(model)
        for part, weight in (("down", adapter.down), ("up", adapter.up))
    }


@torch.no_grad()
def load_adapter_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Take over weights that :func:`adapter_state` gave, into a model with adapters of the same shape.

    Raises:
        ValueError: if the adapters are others, of another shape, or merged.
    """
    own = adapter_state(model)
    if own.keys() != state.keys():
        raise UserError(f"the adapters differ: {sorted(own.keys() ^ state.keys())} are not in both")
    if any(adapter.is_merged for _, adapter in _adapters(model)):
        raise UserError("the adapters are merged into the weights: unmerge them before loading others")
    for name, weight in own.items():
        if weight.shape != state[name].shape:
            raise UserError(f"{name} is {tuple(state[name].shape)}, not {tuple(weight.shape)}: use the same rank")
    for name, weight in own.items():
        weight.copy_(state[name])


def save_adapters(model: nn.Module, path: Path) -> None:
    """Write the adapters' weights alone as safetensors, atomically."""
    with atomic_file(path) as temporary:
        save_file({name: weight.cpu().contiguous() for name, weight in adapter_state(model).items()}, temporary)


def load_adapters(model: nn.Module, path: Path) -> None:
    """Take over the weights that :func:`save_adapters` wrote; errors as for :func:`load_adapter_state`."""
    load_adapter_state(model, load_file(path))


def _adapters(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    return ((name, module) for name, module in model.named_modules() if isinstance(module, LoRALinear))


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, module)
