"""Training's most travelled paths as single differentiable functions.

Composed of ordinary operators, each of these writes and reads its intermediate values many times, forward and
backward; on a processor that, not arithmetic, is what training waits for. There the derivative is written out by
hand, so that little is stored and nothing is computed twice. On a GPU the plain formulas stand, which a compiler
fuses. ``tests/lmcore/models/test_kernels.py`` holds every function against its plain formula.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Rows of logits worked on at a time: small enough for a processor's cache, large enough for its matrix unit.
ROWS_PER_CHUNK = 256
# Up to this bound of the logits their exponentials can be summed as they are: exp(30) is 1e13.
HIGHEST_SAFE_CAP = 30.0
# Above this length the square of probabilities no longer pays and the blocked algorithm of torch does.
LONGEST_EXPLICIT_ATTENTION = 512


def normalize(hidden: Tensor) -> Tensor:
    """Scale the last dimension to a root mean square of one (Zhang & Sennrich 2019), keeping shape and dtype."""
    if not _is_by_hand(hidden):
        return F.rms_norm(hidden, (hidden.size(-1),), eps=1e-12)
    return _apply(_Normalize, hidden)


def rotate_normalized(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Normalize each head to a root mean square of one and rotate it by its position (Su et al. 2021).

    Args:
        heads: (batch, length, num_attention_heads, head_dim).
        cosine: of each position's angles, (length, head_dim / 2).
        sine: likewise.

    Returns:
        (batch, num_attention_heads, length, head_dim), contiguous on a processor.
    """
    if not _is_by_hand(heads):
        first, second = normalize(heads).chunk(2, dim=-1)
        cosine, sine = (part.to(heads.dtype).unsqueeze(1) for part in (cosine, sine))
        rotated = (first * cosine - second * sine, second * cosine + first * sine)
        return torch.cat(rotated, dim=-1).transpose(1, 2)
    return _apply(_RotateNormalized, heads, cosine.to(heads.dtype), sine.to(heads.dtype))


def causal_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Each position attends to itself and those before it; all are (batch, num_attention_heads, length, head_dim)."""
    if not _is_by_hand(query) or query.size(2) > LONGEST_EXPLICIT_ATTENTION:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)
    return _apply(_CausalAttention, query, key, value)


def squared_relu(hidden: Tensor) -> Tensor:
    """The square of the positive part (So et al. 2021, Primer)."""
    if not _is_by_hand(hidden):
        return F.relu(hidden).square()
    return _apply(_SquaredReLU, hidden)


def softcapped_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, cap: float | None, *, label_smoothing: float = 0.0
) -> Tensor:
    """Sum over positions of the negative log-likelihood, in nats, of ``targets`` under the logits
    ``cap * tanh(hidden @ weight.T / cap)`` (or the bare product without a cap; Gemma Team 2024).

    Args:
        hidden: (positions, hidden_size).
        weight: (vocabulary, hidden_size), cast to the dtype of ``hidden``.
        targets: int64 (positions,); -100 does not count.
        label_smoothing: share of each target's probability that is spread evenly over the vocabulary
            (Szegedy et al. 2016).

    Returns:
        float32 scalar.
    """
    if not _is_by_hand(hidden):
        logits = F.linear(hidden, weight.to(hidden.dtype)).float()
        logits = logits if cap is None else cap * torch.tanh(logits / cap)
        return F.cross_entropy(logits, targets, reduction="sum", label_smoothing=label_smoothing)
    counts = targets != -100
    if not counts.all():
        # What does not count, the whole of a prompt, costs no logits.
        hidden, targets = hidden[counts], targets[counts]
    return _apply(_SoftcappedCrossEntropy, hidden, weight, targets, cap, label_smoothing)


def _is_by_hand(tensor: Tensor) -> bool:
    """Whether what is written out by hand computes on this tensor, and not the plain formula."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


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
    """Rotate (batch, length, num_attention_heads, head_dim) into ``out`` by angles given as (length, 1, half)."""
    first, second = heads.chunk(2, dim=-1)
    out_first, out_second = out.chunk(2, dim=-1)
    torch.mul(first, cosine, out=out_first).addcmul_(second, sine, value=-1)
    torch.mul(second, cosine, out=out_second).addcmul_(first, sine)
    return out


class _RotateNormalized(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        batch, length, num_attention_heads, hidden_size = heads.shape
        cosine, sine = cosine.unsqueeze(1), sine.unsqueeze(1)
        scale = _inverse_rms(heads)
        # Laid out by head, as the products of attention want it, while it is written.
        rotated = heads.new_empty(batch, num_attention_heads, length, hidden_size)
        _rotate(heads, cosine, sine, rotated.transpose(1, 2)).mul_(scale)
        ctx.save_for_backward(rotated, scale, cosine, sine)
        return rotated

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        rotated, scale, cosine, sine = ctx.saved_tensors
        turned = _normalize_backward(gradient.transpose(1, 2), rotated.transpose(1, 2), scale)
        back = torch.empty(turned.shape, dtype=turned.dtype, device=turned.device)
        return _rotate(turned, cosine, -sine, back), None, None


class _CausalAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        batch, num_attention_heads, length, hidden_size = query.shape
        query, key, value = (
            part.reshape(batch * num_attention_heads, length, hidden_size) for part in (query, key, value)
        )
        future = torch.full((length, length), -math.inf, dtype=query.dtype, device=query.device).triu_(1)
        scores = torch.baddbmm(future, query, key.transpose(1, 2), alpha=hidden_size**-0.5)
        weights = torch.softmax(scores, dim=-1)
        ctx.save_for_backward(query, key, value, weights)
        return torch.bmm(weights, value).view(batch, num_attention_heads, length, hidden_size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, weights = ctx.saved_tensors
        batch, num_attention_heads, length, hidden_size = gradient.shape
        gradient = gradient.reshape(batch * num_attention_heads, length, hidden_size)
        for_value = torch.bmm(weights.transpose(1, 2), gradient)
        for_weights = torch.bmm(gradient, value.transpose(1, 2))
        for_scores = torch._softmax_backward_data(for_weights, weights, -1, weights.dtype).mul_(hidden_size**-0.5)
        for_query = torch.bmm(for_scores, key)
        for_key = torch.bmm(for_scores.transpose(1, 2), query)
        shape = (batch, num_attention_heads, length, hidden_size)
        return for_query.view(shape), for_key.view(shape), for_value.view(shape)


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


class _SoftcappedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, cap: float | None, label_smoothing: float
    ) -> Tensor:
        weight = weight.to(hidden.dtype)
        wants_gradient = any(ctx.needs_input_grad[:2])
        gradient = hidden.new_empty(hidden.size(0), weight.size(0)) if wants_gradient else None
        totals = hidden.new_empty(hidden.size(0), 1, dtype=torch.float32)
        loss = hidden.new_zeros((), dtype=torch.float32)
        # What can be done to the hidden states is not done to the logits, of which there are many more.
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
        shares = (upstream / totals).to(hidden.dtype)
        for_hidden = (gradient @ weight).mul_(shares) if ctx.needs_input_grad[0] else None
        for_weight = (gradient.T @ (hidden * shares)).float() if ctx.needs_input_grad[1] else None
        return for_hidden, for_weight, None, None, None


def _chunk_loss(
    product: Tensor,
    targets: Tensor,
    cap: float | None,
    label_smoothing: float,
    totals: Tensor,
    gradient: Tensor | None,
) -> Tensor:
    """Loss of one chunk of logits (rows, vocabulary), given as they are, or divided by their cap.

    Writes into ``totals`` (rows, 1) what the exponentials of each row sum to, and into ``gradient``, where one is
    wanted, the gradient of the logits as they are without a cap, times these sums.
    """
    picked = targets.unsqueeze(1)
    logits, tanh = product.float(), None
    if cap is not None:
        tanh = logits.tanh_()
        logits = tanh * cap
    expected = logits.gather(1, picked)
    if label_smoothing:
        expected = expected.lerp(logits.mean(dim=1, keepdim=True), label_smoothing)
    if cap is None or cap > HIGHEST_SAFE_CAP:
        ceiling = logits.amax(dim=1, keepdim=True)
        logits.sub_(ceiling)
        expected -= ceiling
    exponentials = logits.exp_()
    torch.sum(exponentials, dim=1, keepdim=True, out=totals)
    if gradient is not None:
        exponentials.scatter_add_(1, picked, totals * (label_smoothing - 1.0))
        if label_smoothing:
            exponentials.sub_(totals * (label_smoothing / exponentials.size(1)))
        if tanh is not None:
            # The slope of cap * tanh(z / cap) is one minus the squared tanh.
            exponentials.addcmul_(exponentials, tanh.square_(), value=-1)
        gradient.copy_(exponentials)
    return (totals.log() - expected).sum()
