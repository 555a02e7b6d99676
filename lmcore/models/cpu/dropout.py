"""Dropout whose random numbers are drawn 64 bits at a time.

On a CPU, PyTorch's dropout draws a number for every element, which took an eighth of the time of training
a Transformer. Here one draw decides about four elements.
"""

import math
from typing import Any

import torch
from torch import Tensor

LEVELS = 2**16
"""The rate is rounded to a multiple of 1 / 65,536."""
PER_DRAW = 4


def dropout(hidden: Tensor, rate: float) -> Tensor:
    """Set elements to zero with probability ``rate`` and scale the others so that the mean stays, see
    :func:`dropout_factors`."""
    result: Tensor = _Dropout.apply(hidden, rate)  # type: ignore[no-untyped-call]
    return result


def dropout_factors(like: Tensor, rate: float) -> tuple[Tensor, float]:
    """Which elements are kept, 1 or 0 with the shape and dtype of ``like``, and the factor of those that are kept.

    Args:
        like: a tensor whose elements are to be dropped.
        rate: the probability that an element is dropped, at least 0 and less than 1.
    """
    draws = torch.empty(math.ceil(like.numel() / PER_DRAW), dtype=torch.int64).random_(-(2**63), None)
    numbers = draws.view(torch.int16)[: like.numel()].view(like.shape)
    n_dropped = round(rate * LEVELS)
    kept = torch.empty_like(like, memory_format=torch.contiguous_format)
    return torch.ge(numbers, n_dropped - LEVELS // 2, out=kept), LEVELS / (LEVELS - n_dropped)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, rate: float) -> Tensor:
        kept, ctx.factor = dropout_factors(hidden, rate)
        ctx.save_for_backward(kept)
        return (hidden * kept).mul_(ctx.factor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (kept,) = ctx.saved_tensors
        return (gradient * kept).mul_(ctx.factor), None
