"""AdamW and Muon over a model's named parameters, with a flat dictionary of tensors as their state."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lmcore.config.training import AdamWConfig, AdamWGroupConfig, MuonConfig
from lmcore.models.device import native_bfloat16

# Each iteration uses the odd quintic whose maximum distance from one is smallest on the range to which the previous
# iterations map singular values between 0.003 and 1; after the last iteration they are between 0.8 and 1.2 (the method
# of Amsel et al. 2025, The Polar Express, https://arxiv.org/abs/2505.16932). These four train as well as the five equal
# iterations of the original Muon.
QUINTICS = (
    (8.3837, -24.7659, 18.3571),
    (4.0434, -3.0114, 0.5695),
    (3.5056, -2.6267, 0.5257),
    (2.4901, -1.8343, 0.4368),
)
# Every iteration but the last leaves the largest singular values at the edge of the range in which the next quintic is
# bounded, and rounding in bfloat16 pushes some beyond it: without this margin those of an 8 x 256 matrix reach 10.
ROUNDING_MARGIN = 1.02
ROUNDED_QUINTICS = (
    *(
        (first / ROUNDING_MARGIN, second / ROUNDING_MARGIN**3, third / ROUNDING_MARGIN**5)
        for first, second, third in QUINTICS[:-1]
    ),
    QUINTICS[-1],
)
FUSED_MATRICES = {"query_key_value.weight": 3, "key_value.weight": 2}
"""Parameters that hold several matrices, stacked by rows; each matrix is orthogonalized separately."""


class Muon(torch.optim.Optimizer):
    """SGD with momentum whose updates are orthogonalized by Newton-Schulz iterations
    (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).

    Matrices of the same shape are processed together. The iterations run in bfloat16 only where it is native: they
    need little precision, but emulated bfloat16 would take longer than the rest of the training.

    Args:
        parameters: matrices, (rows, columns).
        lr: the learning rate.
        momentum: the decay of the moving average of the gradients.
        weight_decay: decoupled weight decay, relative to the learning rate.
        n_fused: for parameters that hold several matrices stacked by rows, how many.
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
        # The outputs of a tall matrix change less per unit of weight; this compensates for it.
        rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
        updates = orthogonalize(torch.stack(directions).view(-1, rows, columns)).reshape(-1, *shape)
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)


def orthogonalize(matrices: Tensor) -> Tensor:
    """Approximately the nearest semi-orthogonal matrices: their singular values are between about 0.7 and 1.23, also in
    bfloat16, except that those below a 300th of the matrix's norm stay smaller.

    Args:
        matrices: float32 (n, rows, columns).

    Returns:
        the same shape, bfloat16 where that is native, otherwise float32.
    """
    dtype = torch.bfloat16 if native_bfloat16(matrices.device) else torch.float32
    is_tall = matrices.size(1) > matrices.size(2)
    current = matrices.mT if is_tall else matrices
    current = (current / (current.norm(dim=(1, 2), keepdim=True) * ROUNDING_MARGIN + 1e-7)).to(dtype)
    for first, second, third in ROUNDED_QUINTICS:
        gram = current @ current.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=second, alpha=third)
        current = torch.baddbmm(current, polynomial, current, beta=first)
    return current.mT if is_tall else current


class ModelOptimizer:
    """One or two optimizers for all parameters of a model, with one learning-rate factor for both.

    With Muon, the matrices inside the blocks go to Muon, and embeddings, heads, vectors and scalars to AdamW. Vectors
    and scalars have no weight decay.

    Args:
        model: the model whose trainable parameters are updated.
        config: AdamW for all parameters, or Muon with its own AdamW settings for the others.
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
        """Update the weights with ``factor`` times the peak learning rates, and clear the gradients."""
        for optimizer, peaks in zip(self._optimizers, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = factor * peak
            optimizer.step()
        self.clear_gradients()

    def clear_gradients(self) -> None:
        """Set all gradients to None."""
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """All tensors of the state, by ``parameter name/state name``."""
        return {
            f"{self._names[parameter]}/{key}": value  # type: ignore[index]
            for optimizer in self._optimizers
            for parameter, state in optimizer.state.items()
            for key, value in state.items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what :meth:`state` returned."""
        parameters = {name: parameter for parameter, name in self._names.items()}
        owners = {
            parameter: optimizer
            for optimizer in self._optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        }
        for key, value in state.items():
            name, _, kind = key.rpartition("/")
            parameter = parameters[name]
            # AdamW counts its steps on the CPU, whatever the weights' device.
            device = value.device if kind == "step" else parameter.device
            owners[parameter].state[parameter][kind] = value.to(device).clone()


def _is_inner_matrix(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim == 2 and "blocks." in name


def _n_fused(name: str) -> int:
    """The number of matrices that a parameter of this name holds."""
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
