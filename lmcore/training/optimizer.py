"""Optimizers over named parameters, whose whole state is a flat dictionary of tensors."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lmcore.config.training import AdamWConfig, AdamWGroupConfig, MuonConfig
from lmcore.models.device import native_bfloat16

# For each iteration the odd quintic that comes closest to one, at its worst, over what the ones before make of singular
# values from 0.003 to 1; the last leaves 0.8 to 1.2 (the way of Amsel et al. 2025, The Polar Express,
# https://arxiv.org/abs/2505.16932). These four train as well as the five equal ones that Muon was introduced with.
QUINTICS = (
    (8.3837, -24.7659, 18.3571),
    (4.0434, -3.0114, 0.5695),
    (3.5056, -2.6267, 0.5257),
    (2.4901, -1.8343, 0.4368),
)
# Each iteration but the last leaves its largest singular values at the very edge of where the next quintic is bounded,
# and rounding in bfloat16 pushes some of them over it: without this room those of an 8 x 256 matrix reach 10.
ROOM_FOR_ROUNDING = 1.02
ROUNDED_QUINTICS = (
    *(
        (first / ROOM_FOR_ROUNDING, second / ROOM_FOR_ROUNDING**3, third / ROOM_FOR_ROUNDING**5)
        for first, second, third in QUINTICS[:-1]
    ),
    QUINTICS[-1],
)
FUSED_MATRICES = {"query_key_value.weight": 3, "key_value.weight": 2}
"""Matrices that are several in one, stacked by rows: each of them is orthogonalized alone."""


class Muon(torch.optim.Optimizer):
    """Momentum whose update is brought to a semi-orthogonal matrix by Newton-Schulz iterations
    (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).

    Matrices of one shape are worked on together, and in bfloat16 only where that is native: the iteration needs
    little precision, but emulated it would take longer than the rest of the training.

    Args:
        parameters: matrices.
        lr: the learning rate.
        momentum: the share of the average of earlier gradients in the next one.
        weight_decay: decoupled, relative to the learning rate.
        n_fused: how many matrices a parameter holds, one below the other, where that is more than one.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        n_fused: Mapping[nn.Parameter, int] | None = None,
    ):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._n_fused = n_fused or {}

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[tuple[torch.Size, int], list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape, self._n_fused.get(parameter, 1)].append(parameter)
            for (_, n_fused), parameters in by_shape.items():
                self._update(parameters, n_fused, group)

    def _update(self, parameters: list[nn.Parameter], n_fused: int, group: Mapping[str, Any]) -> None:
        momentum = group["momentum"]
        directions = []
        for parameter in parameters:
            assert parameter.grad is not None
            average = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
            average.lerp_(parameter.grad, 1 - momentum)
            directions.append(parameter.grad.lerp(average, momentum))
        shape = parameters[0].shape
        rows, columns = shape[0] // n_fused, shape[1]
        # A taller matrix moves its outputs less per unit of weight; this evens it out.
        rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
        updates = orthogonalize(torch.stack(directions).view(-1, rows, columns)).reshape(-1, *shape)
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)


def orthogonalize(matrices: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly: singular values between about 0.7 and 1.23, in bfloat16 as well,
    but for those below a 300th of the matrix's norm, which stay smaller.

    Args:
        matrices: float32 (n, rows, columns).

    Returns:
        the same shape, in the dtype it was computed in.
    """
    dtype = torch.bfloat16 if native_bfloat16(matrices.device) else torch.float32
    is_tall = matrices.size(1) > matrices.size(2)
    current = matrices.mT if is_tall else matrices
    current = (current / (current.norm(dim=(1, 2), keepdim=True) * ROOM_FOR_ROUNDING + 1e-7)).to(dtype)
    for first, second, third in ROUNDED_QUINTICS:
        gram = current @ current.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=second, alpha=third)
        current = torch.baddbmm(current, polynomial, current, beta=first)
    return current.mT if is_tall else current


class ModelOptimizer:
    """Every parameter of a model under one or two optimizers, with one learning-rate factor for all.

    Args:
        model: its parameters are grouped here: embeddings, heads, vectors and scalars go to AdamW (vectors and
            scalars without weight decay), the matrices between layers to Muon where that is chosen.
    """

    def __init__(self, model: nn.Module, config: AdamWConfig | MuonConfig) -> None:
        named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        self._names = {parameter: name for name, parameter in named}
        matrices = [parameter for name, parameter in named if _is_inner_matrix(name, parameter)]
        rest = named
        self._optimizers: list[torch.optim.Optimizer] = []
        if isinstance(config, MuonConfig) and matrices:
            muon = Muon(
                matrices,
                lr=config.learning_rate,
                momentum=config.momentum,
                weight_decay=config.weight_decay,
                n_fused={parameter: n for name, parameter in named if (n := _n_fused(name)) > 1},
            )
            self._optimizers.append(muon)
            rest = [(name, parameter) for name, parameter in named if not _is_inner_matrix(name, parameter)]
        if rest:
            self._optimizers.append(_adamw(rest, config.adamw if isinstance(config, MuonConfig) else config))
        self._peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in self._optimizers]
        self.peak_learning_rate = config.learning_rate

    def step(self, factor: float) -> None:
        """Update the weights from their gradients at ``factor`` times the peak learning rates; clear the gradients."""
        for optimizer, peaks in zip(self._optimizers, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = factor * peak
            optimizer.step()
        self.clear_gradients()

    def clear_gradients(self) -> None:
        """Forget the gradients."""
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Every tensor of the state, by ``parameter name/what``."""
        return {
            f"{self._names[parameter]}/{key}": value  # type: ignore[index]
            for optimizer in self._optimizers
            for parameter, state in optimizer.state.items()
            for key, value in state.items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over a state that :meth:`state` gave."""
        parameters = {name: parameter for parameter, name in self._names.items()}
        owners = {
            parameter: optimizer
            for optimizer in self._optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        }
        for key, value in state.items():
            name, _, what = key.rpartition("/")
            parameter = parameters[name]
            # AdamW counts its steps on the processor, whatever the weights' device.
            device = value.device if what == "step" else parameter.device
            owners[parameter].state[parameter][what] = value.to(device).clone()


def _is_inner_matrix(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim == 2 and "blocks." in name


def _n_fused(name: str) -> int:
    """How many matrices a parameter of this name holds."""
    return next((n for ending, n in FUSED_MATRICES.items() if name.endswith(f".{ending}")), 1)


def _adamw(named: list[tuple[str, nn.Parameter]], config: AdamWGroupConfig) -> torch.optim.AdamW:
    groups = [
        {
            "params": [parameter for _, parameter in named if parameter.ndim >= 2],
            "weight_decay": config.weight_decay,
        },
        {"params": [parameter for _, parameter in named if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        fused=True,
    )
