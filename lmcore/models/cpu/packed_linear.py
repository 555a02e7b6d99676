"""Linear layers for inference whose weights are stored in the layout, or in the 8 bits, that a CPU multiplies fastest.

A CPU without PyTorch's optimized kernels, and every other device, computes with the plain weights.
"""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST_BYTE = 127


class PackedLinear:
    """A linear layer without a backward pass.

    Args:
        weight: shape (outputs, inputs).
        bias: shape (outputs,), or None.
        dtype: dtype of inputs and outputs.
        in_8bit: store the weights as 8-bit integers with a scale for each output, and multiply them with inputs that
            are rounded to 8 bits as well, with one scale for all rows (dynamic quantization): several times as fast,
            and less exact. Ignored where the CPU has no kernels for it.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, *, in_8bit: bool = False) -> None:
        is_on_cpu = weight.device.type == "cpu"
        self._dtype = dtype
        self._weight = weight.detach().to(dtype)
        self._bias = None if bias is None else bias.detach().to(dtype)
        self._quantized = None
        self._is_packed = False
        if in_8bit and is_on_cpu and torch.backends.quantized.engine != "none":
            self._quantized = _in_8bit(weight, bias)
            self._weight = self._weight.new_empty(0)
        elif is_on_cpu and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            self._weight, self._is_packed = self._weight.to_mkldnn(), True

    def __call__(self, rows: Tensor) -> Tensor:
        """Map (rows, inputs) to (rows, outputs)."""
        product: Tensor
        if self._quantized is not None:
            product = torch.ops.quantized.linear_dynamic.default(rows.float(), self._quantized).to(self._dtype)
        elif self._is_packed:
            product = torch.ops.mkldnn._linear_pointwise.default(rows, self._weight, self._bias, "none", [], "")
        else:
            product = F.linear(rows, self._weight, self._bias)
        return product

    def added_to(self, residual: Tensor, rows: Tensor) -> Tensor:
        """The sum of ``residual`` (rows, outputs) and the result for ``rows`` (rows, inputs)."""
        if self._is_packed:
            total: Tensor = torch.ops.mkldnn._linear_pointwise.binary(rows, residual, self._weight, self._bias, "add")
            return total
        return residual + self(rows)


def _in_8bit(weight: Tensor, bias: Tensor | None) -> object:
    weight = weight.detach().float()
    scales = weight.abs().amax(dim=1).clamp_min(1e-12).double() / LARGEST_BYTE
    zero_points = torch.zeros(len(scales), dtype=torch.int64)
    with warnings.catch_warnings():
        # The pinned PyTorch announces that quantized tensors will go; the kernels stay.
        warnings.simplefilter("ignore", UserWarning)
        quantized = torch.quantize_per_channel(weight, scales, zero_points, 0, torch.qint8)
    return torch.ops.quantized.linear_prepack(quantized, None if bias is None else bias.detach().float())
