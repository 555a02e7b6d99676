"""What follows from a model's weights alone and takes longer to make than one token takes to read."""

from collections.abc import Callable, Hashable, Sequence
from typing import Self

import torch
from torch import Tensor, nn


class Derived(nn.Module):
    """Tensors made of weights, kept from call to call in inference mode, where weights stay as they are.

    They are made anew when a weight has changed, and after every change between training and evaluation.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[Hashable, tuple[Hashable, Tensor]] = {}

    def get(self, name: Hashable, weights: Sequence[Tensor], make: Callable[[], Tensor]) -> Tensor:
        """What ``make`` makes of ``weights``."""
        if not torch.is_inference_mode_enabled() or any(weight.is_inference() for weight in weights):
            return make()
        version = tuple((weight.data_ptr(), weight._version) for weight in weights)
        known, tensor = self._kept.get(name, (None, None))
        if tensor is None or known != version:
            tensor = make()
            self._kept[name] = version, tensor
        return tensor

    def train(self, mode: bool = True) -> Self:
        """Forget everything."""
        self._kept.clear()
        return super().train(mode)
