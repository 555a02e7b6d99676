"""An exponential moving average of a model's weights, which often generalizes better than the weights themselves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class AveragedWeights:
    """The exponential moving average of each weight over the steps (Polyak & Juditsky 1992).

    Args:
        model: the model whose weights are averaged.
        decay: the weight of the average so far in the next one. It is lower in the first steps, so that the average
            soon forgets the initial weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        self._average = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Include the weights after ``step`` (counted from 1)."""
        new_weight = 1.0 - min(self._decay, step / (step + 10.0))
        parameters = dict(self._model.named_parameters())
        torch._foreach_lerp_(list(self._average.values()), [parameters[name] for name in self._average], new_weight)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The model has the averages as its weights in this context."""
        own = {name: parameter.detach().clone() for name, parameter in self._model.named_parameters()}
        self._set_weights(self._average)
        try:
            yield
        finally:
            self._set_weights(own)

    def state(self) -> dict[str, Tensor]:
        """The averages by parameter name."""
        return dict(self._average)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what :meth:`state` returned."""
        for name, average in self._average.items():
            average.copy_(state[name])

    @torch.no_grad()
    def _set_weights(self, weights: Mapping[str, Tensor]) -> None:
        for name, parameter in self._model.named_parameters():
            parameter.copy_(weights[name])
