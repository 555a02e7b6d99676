"""Weights in the form that inference computes with (stacked, cast, normalized), prepared once for many tokens."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

Prepared = TypeVar("Prepared")


class PreparedWeights:
    """Values computed from weights alone, kept from token to token in inference mode.

    They belong to a model's state, and so to one batch of texts. A change of the weights before that state was created
    can therefore never be missed, not even one made through ``.data``, which PyTorch does not count. While the state is
    in use, in-place changes that PyTorch counts are noticed, and the value is prepared again.
    """

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[Hashable, Any]] = {}

    def get(self, name: Hashable, weights: Sequence[Tensor], prepare: Callable[[], Prepared]) -> Prepared:
        """The value of ``prepare()``, which is called again only if one of ``weights`` has changed."""
        if not torch.is_inference_mode_enabled():
            return prepare()
        try:
            versions = tuple((weight.data_ptr(), weight._version) for weight in weights)
        except RuntimeError:  # weights created in inference mode have no version
            return prepare()
        known, value = self._values.get(name, (None, None))
        if known != versions:
            value = prepare()
            self._values[name] = versions, value
        prepared: Prepared = value
        return prepared
