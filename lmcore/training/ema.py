"""An exponential moving average of a model's weights, which is often better than the weights themselves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class AveragedWeights:
    """Each weight's mean over the steps so far, those long ago counting less (Polyak & Juditsky 1992).

    Args:
        model: whose weights are averaged.
        decay: what a weight of the step before counts, relative to one of this step. In the first steps it is lower,
            so that the weights from before the training are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        self._average = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after ``step`` (counted from 1)."""
        share = 1.0 - min(self._decay, step / (step + 10.0))
        parameters = dict(self._model.named_parameters())
        torch._foreach_lerp_(list(self._average.values()), [parameters[name] for name in self._average], share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the averages for a while."""
        own = {name: parameter.detach().clone() for name, parameter in self._model.named_parameters()}
        self._set(self._average)
        try:
            yield
        finally:
            self._set(own)

    def state(self) -> dict[str, Tensor]:
        """The averages by parameter name."""
        return dict(self._average)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state` gave."""
        for name, average in self._average.items():
            average.copy_(state[name])

    @torch.no_grad()
    def _set(self, weights: Mapping[str, Tensor]) -> None:
        for name, parameter in self._model.named_parameters():
            parameter.copy_(weights[name])
