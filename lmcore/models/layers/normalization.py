"""Root-mean-square normalization with a learned scale."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """Scales the last dimension to a root mean square of one, and then each feature (Zhang & Sennrich 2019).

    Args:
        size: number of features.
        eps: added to the mean square.
    """

    def __init__(self, size: int, *, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def extra_repr(self) -> str:
        """Size and epsilon, for ``print(model)``."""
        return f"{len(self.weight)}, eps={self.eps:g}"

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., size) to the same shape, in the dtype of ``features``."""
        return F.rms_norm(features, self.weight.shape, self.weight.to(features.dtype), self.eps)
