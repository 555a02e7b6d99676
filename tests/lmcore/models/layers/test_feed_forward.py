"""Feed-forward layers: each activation is its formula, and a new layer adds nothing to the residual stream."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore.models.layers.feed_forward import FeedForward

FORMULAS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda expanded, _: F.relu(expanded),
    "relu2": lambda expanded, _: F.relu(expanded) ** 2,
    "swiglu": lambda expanded, gate: expanded * gate * torch.sigmoid(gate),
    "gated-gelu": lambda expanded, gate: (
        expanded * 0.5 * gate * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (gate + 0.044715 * gate**3)))
    ),
}


@pytest.mark.parametrize("hidden_act", FORMULAS)
def test_each_activation_is_its_formula(hidden_act: str) -> None:
    torch.manual_seed(0)
    layer, hidden = FeedForward(hidden_size=6, intermediate_size=10, hidden_act=hidden_act), torch.randn(2, 3, 6)
    assert not layer(hidden).any()
    torch.nn.init.normal_(layer.output.weight)
    gate = torch.zeros(()) if layer.gate is None else hidden @ layer.gate.weight.T
    expected = FORMULAS[hidden_act](hidden @ layer.input.weight.T, gate) @ layer.output.weight.T
    torch.testing.assert_close(layer(hidden), expected, rtol=1e-4, atol=1e-5)


def test_dropout_is_of_the_activations_in_training_alone() -> None:
    torch.manual_seed(0)
    layer = FeedForward(hidden_size=4, intermediate_size=2000, hidden_act="relu", dropout=0.5)
    torch.nn.init.ones_(layer.output.weight)
    hidden = torch.randn(1, 1, 4)
    assert not torch.equal(layer.train()(hidden), layer(hidden))
    assert torch.equal(layer.eval()(hidden), layer(hidden))
