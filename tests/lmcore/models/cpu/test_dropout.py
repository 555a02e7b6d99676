"""Dropout drops each element independently with its rate, keeps the mean, and drops the same in the backward pass."""

import math

import pytest
import torch
import torch.nn.functional as F

from lmcore.models.cpu.dropout import dropout
from lmcore.models.cpu.fused import attention

N_ELEMENTS = 200_003
"""Not a multiple of the elements that share a draw."""


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_each_element_is_dropped_independently_with_the_rate(rate: float) -> None:
    torch.manual_seed(0)
    is_dropped = dropout(torch.ones(N_ELEMENTS), rate) == 0
    # Of elements a few positions apart, as those that share a draw are, both are dropped with the squared rate.
    both = [is_dropped, *(is_dropped[distance:] & is_dropped[:-distance] for distance in range(1, 9))]
    for found, expected in zip(both, [rate, *[rate**2] * 8], strict=True):
        margin = 5 * math.sqrt(expected * (1 - expected) / N_ELEMENTS)
        assert found.float().mean().item() == pytest.approx(expected, abs=margin)
    for lane in range(4):
        assert is_dropped[lane::4].float().mean().item() == pytest.approx(rate, abs=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradients_are_zero_or_scaled_alike(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(3, 5, 7, dtype=dtype, requires_grad=True)
    result = dropout(hidden.transpose(0, 1), 0.25).transpose(0, 1)
    result.sum().backward()
    assert hidden.grad is not None
    assert set(hidden.grad.flatten().tolist()) == {0.0, torch.tensor(4 / 3, dtype=dtype).item()}
    torch.testing.assert_close(result, hidden * hidden.grad)


@pytest.mark.parametrize("is_masked", [True, False])
def test_attention_drops_weights(*, is_masked: bool) -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(2, 3, 5, 5, dtype=torch.float64) for _ in range(3)]
    is_hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)
    visible = ~is_hidden[None, None] if is_masked else None
    # With the unit matrix as values, attention gives its weights.
    torch.manual_seed(1)
    weights = attention(*inputs[:2], torch.eye(5, dtype=torch.float64).expand(2, 3, 5, 5), visible, 0.4)
    kept = (weights != 0).double() / 0.6
    torch.manual_seed(1)
    ours, theirs = ([tensor.clone().requires_grad_() for tensor in inputs] for _ in range(2))
    result = attention(*ours, visible, 0.4)
    query, key, value = theirs
    scores = (query @ key.mT / math.sqrt(5)).masked_fill(is_hidden, -math.inf)
    expected = (F.softmax(scores, dim=-1) * kept) @ value
    assert 0.2 < (weights[..., ~is_hidden] == 0).double().mean() < 0.6
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)
    direction = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(result, ours, direction), torch.autograd.grad(expected, theirs, direction), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
