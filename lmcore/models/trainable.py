"""What the training loop asks of a model."""

from abc import abstractmethod

import torch
from torch import Tensor

from lmcore.models.model import Model


class TrainableModel(Model):
    """A model with a loss. Its weights are float32, whatever its activations are computed in."""

    compute_dtype = torch.float32
    """What activations are computed in."""

    recomputes_activations = False
    """Whether blocks keep their inputs only and compute the rest again on the way back (Chen et al. 2016)."""

    @abstractmethod
    def loss(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Summed negative log-likelihood of the targets in nats, a float32 scalar.

        Args:
            tokens: int64 (batch, length).
            targets: int64; a target of -100 does not count.
            label_smoothing: the share of a target's probability that is spread evenly over the whole vocabulary
                (Szegedy et al. 2016); what is summed then is the cross-entropy with that distribution.
        """

    @abstractmethod
    def flops_per_token(self) -> float:
        """Floating-point operations that a step of training needs for one token, forward and backward: six for each
        weight of a matrix product, and those of causal attention over the longest input (Chowdhery et al. 2022, PaLM,
        appendix B, but without the future that causal attention never sees)."""

    def compute_in(self, dtype: torch.dtype) -> None:
        """Compute activations in float32 or bfloat16 from now on."""
        self.compute_dtype = dtype
