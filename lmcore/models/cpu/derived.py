"""What follows from a model's weights alone and takes longer to make than one token takes to read."""

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor


class Derived:
    """Tensors made of weights, kept from call to call in inference mode, where weights stay as they are.

    They belong to what a model carries from token to token, and so to one text: no change of the weights before it
    began can be missed, even one made through ``.data``, which leaves no trace. Of changes in between, those that
    torch counts are noticed.
    """

    def __init__(self) -> None:
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
