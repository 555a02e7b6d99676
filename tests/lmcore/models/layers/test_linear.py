"""Linear layers compute in the dtype of their input and start as their papers say."""

import math

import pytest
import torch
from torch import nn

from lmcore.models.layers.linear import INITIAL_STD, BiasedLinear, BiasFreeLinear


def features(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(5, 3, 64, generator=torch.Generator().manual_seed(0)).to(dtype)


def test_weights_without_bias_keep_half_the_variance_of_their_input() -> None:
    torch.manual_seed(0)
    layer = BiasFreeLinear(400, 300)
    assert layer.bias is None
    assert layer.weight.std().item() == pytest.approx(1 / math.sqrt(2 * 400), rel=0.02)
    assert layer.weight.abs().max().item() <= math.sqrt(3) / math.sqrt(2 * 400)
    outputs = layer(torch.randn(1000, 400))
    assert outputs.var().item() == pytest.approx(0.5, rel=0.05)


def test_the_last_layer_of_a_residual_branch_starts_with_zeros() -> None:
    assert BiasFreeLinear(4, 3, zero_init=True).weight.count_nonzero() == 0


@pytest.mark.parametrize("std", [INITIAL_STD, 0.1])
def test_weights_with_biases_are_normal_and_the_biases_zero(std: float) -> None:
    torch.manual_seed(0)
    layer = BiasedLinear(400, 300, std=std)
    assert layer.weight.mean().item() == pytest.approx(0.0, abs=0.01 * std)
    assert layer.weight.std().item() == pytest.approx(std, rel=0.02)
    assert layer.weight.abs().max().item() > 3 * std, "a uniform distribution has no tails"
    assert layer.bias.count_nonzero() == 0


@pytest.mark.parametrize("layer", [BiasFreeLinear(64, 7), BiasedLinear(64, 7)], ids=["bias free", "biased"])
def test_outputs_and_their_precision_are_those_of_the_input_and_the_weights_keep_theirs(layer: nn.Linear) -> None:
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    expected = features() @ layer.weight.T + (0.0 if layer.bias is None else layer.bias)
    torch.testing.assert_close(layer(features()), expected)
    rough = layer(features(torch.bfloat16))
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), expected, rtol=0.05, atol=0.3)
    rough.sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in layer.parameters())
