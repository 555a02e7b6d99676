"""What the training loop asks of a model."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class TrainableModel(nn.Module, ABC):
    """A model with a loss. Its weights are float32, whatever its activations are computed in."""

    @abstractmethod
    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Summed negative log-likelihood of the targets in nats, a float32 scalar; a target of -100 does not count."""

    @abstractmethod
    def training_operations_per_token(self) -> float:
        """Floating-point operations that a step of training needs for one token, forward and backward: six for each
        weight of a matrix product, and those of causal attention over the longest input (Chowdhery et al. 2022, PaLM,
        appendix B, but without the future that causal attention never sees)."""

    @abstractmethod
    def compute_in(self, dtype: torch.dtype) -> None:
        """Compute activations in float32 or bfloat16 from now on."""
