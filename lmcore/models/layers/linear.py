"""Linear layers that compute in the dtype of their input."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

INITIAL_STD = 0.02
"""The standard deviation of the initial weights of GPT-2 and BERT."""


class BiasFreeLinear(nn.Linear):
    """A linear layer without bias.

    Args:
        n_inputs: number of input features.
        n_outputs: number of output features.
        zero_init: initialize with zeros, as the last layer of a residual branch, so that every block starts as the
            identity (Zhang et al. 2019, Fixup); otherwise the initial weights suit inputs of unit variance.
    """

    def __init__(self, n_inputs: int, n_outputs: int, *, zero_init: bool = False) -> None:
        self.zero_init = zero_init
        super().__init__(n_inputs, n_outputs, bias=False)

    def reset_parameters(self) -> None:
        """Initialize the weights from PyTorch's current generator."""
        if self.zero_init:
            nn.init.zeros_(self.weight)
        else:
            # The bound of a uniform distribution with standard deviation 1 / sqrt(2 * n_inputs).
            bound = math.sqrt(1.5 / self.in_features)
            nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., n_inputs) to (..., n_outputs) in the dtype of ``features``."""
        return F.linear(features, self.weight.to(features.dtype))


class BiasedLinear(nn.Linear):
    """A linear layer with a bias, initialized as in GPT-2 and BERT.

    Args:
        n_inputs: number of input features.
        n_outputs: number of output features.
        std: standard deviation of the initial weights; the initial biases are zero.
    """

    def __init__(self, n_inputs: int, n_outputs: int, *, std: float = INITIAL_STD) -> None:
        self.std = std
        super().__init__(n_inputs, n_outputs)

    def reset_parameters(self) -> None:
        """Initialize the weights from PyTorch's current generator, and the biases with zeros."""
        nn.init.normal_(self.weight, std=self.std)
        nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., n_inputs) to (..., n_outputs) in the dtype of ``features``."""
        return F.linear(features, self.weight.to(features.dtype), self.bias.to(features.dtype))
