"""Dropout (Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html)."""

from torch import Tensor, nn

from lmcore.models.layers.functional import dropout


class Dropout(nn.Dropout):
    """Dropout of single elements, only in training mode."""

    def forward(self, features: Tensor) -> Tensor:
        """Map a tensor to one of the same shape."""
        return dropout(features, self.p) if self.training and self.p else features
