"""Feed-forward layers without biases."""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.models.layers.functional import dropout, squared_relu
from lmcore.models.layers.linear import BiasFreeLinear

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "relu2": squared_relu}
GATES: dict[str, Callable[[Tensor], Tensor]] = {"swiglu": F.silu, "gated-gelu": partial(F.gelu, approximate="tanh")}


class FeedForward(nn.Module):
    """Two linear layers with an activation between them: ReLU, its square (So et al. 2021, Primer), or an expansion
    that is multiplied by a gate (Shazeer 2020: SwiGLU and gated GELU).

    Args:
        hidden_size: size of the input and output.
        intermediate_size: size between the two layers.
        hidden_act: a key of ``ACTIVATIONS`` or ``GATES``.
        dropout: dropout rate of the activations.
    """

    def __init__(self, *, hidden_size: int, intermediate_size: int, hidden_act: str, dropout: float = 0.0) -> None:
        super().__init__()
        self.hidden_act, self.dropout = hidden_act, dropout
        self.input = BiasFreeLinear(hidden_size, intermediate_size)
        self.gate = BiasFreeLinear(hidden_size, intermediate_size) if hidden_act in GATES else None
        self.output = BiasFreeLinear(intermediate_size, hidden_size, zero_init=True)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape."""
        expanded = self.input(hidden)
        if self.gate is None:
            activated = ACTIVATIONS[self.hidden_act](expanded)
        else:
            activated = GATES[self.hidden_act](self.gate(hidden)) * expanded
        if self.dropout and self.training:
            activated = dropout(activated, self.dropout)
        projected: Tensor = self.output(activated)
        return projected
