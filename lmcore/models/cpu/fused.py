"""The most frequent operations of training as single differentiable functions with hand-derived backward passes.

Composed of ordinary operators, each of these would write and read its intermediate values many times, forward and
backward; on a CPU, memory traffic and not arithmetic limits the speed of training. Here little is stored and nothing is
computed twice. :mod:`lmcore.models.layers.functional` has the plain formulas and decides which of the two is used.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore.models.cpu.dropout import dropout_factors

ROWS_PER_CHUNK = 256
"""Rows of logits computed at a time: few enough for a CPU's cache, enough for its matrix unit."""
HIGHEST_SAFE_CAP = 30.0
"""Up to this bound, exponentials of logits can be summed without subtracting their maximum: exp(30) is 1e13."""


def normalize(hidden: Tensor) -> Tensor:
    """Scale the last dimension to a root mean square of one."""
    return _apply(_Normalize, hidden)


def rotate_normalized(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Normalize heads (batch, length, heads, head_dim) and rotate them by angles (length, head_dim / 2) of the same
    dtype; the result has shape (batch, heads, length, head_dim)."""
    return _apply(_RotateNormalized, heads, cosine, sine)


def attention(query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    """Attention of (batch, heads, length, head_dim), with the attention weights in memory.

    ``visible`` is bool, broadcast to (batch, 1, length, positions), and true somewhere in each row: where a query may
    attend; None for causal attention. ``dropout`` is the dropout rate of the attention weights.
    """
    return _apply(_Attention, query, key, value, visible, dropout)


def squared_relu(hidden: Tensor) -> Tensor:
    """The square of the positive part."""
    return _apply(_SquaredReLU, hidden)


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, cap: float | None, label_smoothing: float
) -> Tensor:
    """Summed cross-entropy of ``hidden @ weight.T``, optionally capped; no target may be -100."""
    return _apply(_LinearCrossEntropy, hidden, weight, targets, cap, label_smoothing)


def _apply(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    result: Tensor = function.apply(*arguments)  # type: ignore[no-untyped-call]
    return result


def _inverse_rms(hidden: Tensor) -> Tensor:
    accurate = torch.promote_types(hidden.dtype, torch.float32)
    norm: Tensor = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True, dtype=accurate)
    return (math.sqrt(hidden.size(-1)) / norm.clamp_min(1e-6)).to(hidden.dtype)


def _normalize_backward(gradient: Tensor, normalized: Tensor, scale: Tensor) -> Tensor:
    along = (gradient * normalized).mean(dim=-1, keepdim=True)
    return torch.addcmul(gradient, normalized, along, value=-1).mul_(scale)


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        scale = _inverse_rms(hidden)
        normalized = hidden * scale
        ctx.save_for_backward(normalized, scale)
        return normalized

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        normalized, scale = ctx.saved_tensors
        return _normalize_backward(gradient, normalized, scale)


def _rotate(heads: Tensor, cosine: Tensor, sine: Tensor, out: Tensor) -> Tensor:
    """Rotate heads (batch, length, heads, head_dim) by angles (length, 1, head_dim / 2) into ``out``."""
    first, second = heads.chunk(2, dim=-1)
    out_first, out_second = out.chunk(2, dim=-1)
    torch.mul(first, cosine, out=out_first).addcmul_(second, sine, value=-1)
    torch.mul(second, cosine, out=out_second).addcmul_(first, sine)
    return out


class _RotateNormalized(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        batch, length, n_heads, head_dim = heads.shape
        cosine, sine = cosine.unsqueeze(1), sine.unsqueeze(1)
        scale = _inverse_rms(heads)
        # Written in the layout (by head) that the matrix products of attention need.
        rotated = heads.new_empty(batch, n_heads, length, head_dim)
        _rotate(heads, cosine, sine, rotated.transpose(1, 2)).mul_(scale)
        ctx.save_for_backward(rotated, scale, cosine, sine)
        return rotated

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        rotated, scale, cosine, sine = ctx.saved_tensors
        for_rotated = _normalize_backward(gradient.transpose(1, 2), rotated.transpose(1, 2), scale)
        for_heads = torch.empty(for_rotated.shape, dtype=for_rotated.dtype, device=for_rotated.device)
        return _rotate(for_rotated, cosine, -sine, for_heads), None, None


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, dropout: float) -> Tensor:
        batch, n_heads, length, head_dim = query.shape
        n_positions = key.size(2)
        if visible is None:
            hidden = query.new_full((length, n_positions), -math.inf).triu_(1)
        else:
            hidden = query.new_zeros(visible.shape).masked_fill_(~visible, -math.inf)
        scores = query.new_empty(batch, n_heads, length, n_positions).copy_(hidden).flatten(0, 1)
        query, key, value = (part.reshape(batch * n_heads, -1, head_dim) for part in (query, key, value))
        torch.baddbmm(scores, query, key.transpose(1, 2), alpha=head_dim**-0.5, out=scores)
        weights = torch.softmax(scores, dim=-1)
        kept, ctx.factor = dropout_factors(weights, dropout) if dropout else (None, 1.0)
        ctx.save_for_backward(query, key, value, weights, kept)
        return torch.bmm(_dropped(weights, kept, ctx.factor), value).view(batch, n_heads, length, head_dim)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query, key, value, weights, kept = ctx.saved_tensors
        batch, n_heads, length, head_dim = gradient.shape
        gradient = gradient.reshape(batch * n_heads, length, head_dim)
        for_value = torch.bmm(_dropped(weights, kept, ctx.factor).transpose(1, 2), gradient)
        for_weights = _dropped(torch.bmm(gradient, value.transpose(1, 2)), kept, ctx.factor)
        for_scores = torch._softmax_backward_data(for_weights, weights, -1, weights.dtype).mul_(head_dim**-0.5)
        for_query = torch.bmm(for_scores, key)
        for_key = torch.bmm(for_scores.transpose(1, 2), query)
        heads = (batch, n_heads, -1, head_dim)
        return for_query.view(heads), for_key.view(heads), for_value.view(heads), None, None


def _dropped(weights: Tensor, kept: Tensor | None, factor: float) -> Tensor:
    return weights if kept is None else (weights * kept).mul_(factor)


class _SquaredReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        positive = F.relu(hidden)
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        result: Tensor = (gradient * positive).mul_(2)
        return result


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, cap: float | None, label_smoothing: float
    ) -> Tensor:
        weight = weight.to(hidden.dtype)
        needs_gradient = any(ctx.needs_input_grad[:2])
        gradient = hidden.new_empty(hidden.size(0), weight.size(0)) if needs_gradient else None
        totals = hidden.new_empty(hidden.size(0), 1, dtype=torch.float32)
        loss = hidden.new_zeros((), dtype=torch.float32)
        # The hidden states are scaled instead of the logits, of which there are many more.
        scaled = hidden if cap is None else hidden * (1 / cap)
        for start in range(0, hidden.size(0), ROWS_PER_CHUNK):
            rows = slice(start, start + ROWS_PER_CHUNK)
            out = None if gradient is None else gradient[rows]
            product = scaled[rows] @ weight.T
            loss += _chunk_loss(product, targets[rows], cap, label_smoothing, totals[rows], out)
        if gradient is not None:
            ctx.save_for_backward(hidden, weight, gradient, totals)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        hidden, weight, gradient, totals = ctx.saved_tensors
        scale = (upstream / totals).to(hidden.dtype)
        for_hidden = (gradient @ weight).mul_(scale) if ctx.needs_input_grad[0] else None
        for_weight = (gradient.T @ (hidden * scale)).float() if ctx.needs_input_grad[1] else None
        return for_hidden, for_weight, None, None, None


def _chunk_loss(
    product: Tensor,
    targets: Tensor,
    cap: float | None,
    label_smoothing: float,
    totals: Tensor,
    gradient: Tensor | None,
) -> Tensor:
    """The loss of one chunk of logits (rows, vocabulary); with a cap, they are given divided by the cap.

    Writes the sum of each row's exponentials to ``totals`` (rows, 1) and, if ``gradient`` is given, writes to it the
    gradient with respect to the uncapped logits, multiplied by these sums.
    """
    target_indices = targets.unsqueeze(1)
    logits, tanh = product.float(), None
    if cap is not None:
        tanh = logits.tanh_()
        logits = tanh * cap
    expected = logits.gather(1, target_indices)
    if label_smoothing:
        expected = expected.lerp(logits.mean(dim=1, keepdim=True), label_smoothing)
    if cap is None or cap > HIGHEST_SAFE_CAP:
        ceiling = logits.amax(dim=1, keepdim=True)
        logits.sub_(ceiling)
        expected -= ceiling
    exponentials = logits.exp_()
    torch.sum(exponentials, dim=1, keepdim=True, out=totals)
    if gradient is not None:
        exponentials.scatter_add_(1, target_indices, totals * (label_smoothing - 1.0))
        if label_smoothing:
            exponentials.sub_(totals * (label_smoothing / exponentials.size(1)))
        if tanh is not None:
            # The derivative of cap * tanh(z / cap) is one minus the squared tanh.
            exponentials.addcmul_(exponentials, tanh.square_(), value=-1)
        gradient.copy_(exponentials)
    return (totals.log() - expected).sum()
