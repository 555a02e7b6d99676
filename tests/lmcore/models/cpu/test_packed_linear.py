"""A packed linear layer gives what a plain one gives; with 8-bit weights nearly that."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore.models.cpu.packed_linear import PackedLinear


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("n_rows", [1, 5, 33])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_it_is_linear(n_rows: int, dtype: torch.dtype, tolerance: float, *, has_bias: bool) -> None:
    weight, rows, residual = draw(24, 16), draw(n_rows, 16), draw(n_rows, 24)
    bias = draw(24) if has_bias else None
    expected = F.linear(rows, weight, bias)
    with torch.inference_mode():
        layer = PackedLinear(weight, bias, dtype)
        result, total = layer(rows.to(dtype)), layer.added_to(residual.to(dtype), rows.to(dtype))
    assert result.dtype == total.dtype == dtype
    torch.testing.assert_close(result.float(), expected, rtol=tolerance, atol=4 * tolerance)
    torch.testing.assert_close(total.float(), residual + expected, rtol=tolerance, atol=4 * tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_8_bit_weights_are_close(dtype: torch.dtype) -> None:
    weight, rows, bias, residual = draw(48, 64), draw(9, 64), draw(48), draw(9, 48)
    with torch.inference_mode():
        layer = PackedLinear(weight, bias, dtype, in_8bit=True)
        result, total = layer(rows.to(dtype)), layer.added_to(residual.to(dtype), rows.to(dtype))
    expected = F.linear(rows, weight, bias)
    error = (result.float() - expected).square().mean().sqrt() / expected.std()
    assert 0 < error < 0.02
    torch.testing.assert_close(total.float(), residual + expected, rtol=0.05, atol=0.5)
    assert result.dtype == total.dtype == dtype
