"""Functions that layers are built from, with fused versions for the CPU.

Each function has a plain formula, which computes on a GPU and in compiled code, where a compiler fuses it. On a CPU,
:mod:`lmcore.models.cpu.fused` computes the same with a hand-derived backward pass, see ``docs/cpu.md``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore.models.cpu import fused
from lmcore.models.cpu.dropout import dropout as fast_dropout

LONGEST_EXPLICIT_ATTENTION = 512
"""Above this length, PyTorch's blocked algorithm is faster than attention with materialized weights."""


def normalize(hidden: Tensor) -> Tensor:
    """Scale the last dimension to a root mean square of one (Zhang & Sennrich 2019), keeping shape and dtype."""
    if uses_cpu_code(hidden):
        return fused.normalize(hidden)
    return F.rms_norm(hidden, (hidden.size(-1),), eps=1e-12)


def rotate_normalized(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Normalize each head to a root mean square of one and rotate it by its position (Su et al. 2021).

    Args:
        heads: shape (batch, length, heads, head_dim).
        cosine: cosines of each position's angles, shape (length, head_dim / 2).
        sine: their sines, same shape.

    Returns:
        shape (batch, heads, length, head_dim), contiguous on a CPU.
    """
    if uses_cpu_code(heads):
        return fused.rotate_normalized(heads, cosine.to(heads.dtype), sine.to(heads.dtype))
    return rotate(normalize(heads), cosine, sine)


def rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate each head by its position; arguments and result as for :func:`rotate_normalized`."""
    first, second = heads.chunk(2, dim=-1)
    cosine, sine = (part.to(heads.dtype).unsqueeze(1) for part in (cosine, sine))
    rotated = (first * cosine - second * sine, second * cosine + first * sine)
    return torch.cat(rotated, dim=-1).transpose(1, 2)


def dropout(hidden: Tensor, rate: float) -> Tensor:
    """Set elements to zero with probability ``rate`` and scale the others so that the mean stays
    (Srivastava et al. 2014)."""
    return fast_dropout(hidden, rate) if uses_cpu_code(hidden) else F.dropout(hidden, rate)


def causal_attention(query: Tensor, key: Tensor, value: Tensor, dropout: float = 0.0) -> Tensor:
    """Attention of each position to itself and those before it; all have shape (batch, heads, length, head_dim).

    ``dropout`` is the dropout rate of the attention weights.
    """
    if uses_cpu_code(query) and query.size(2) <= LONGEST_EXPLICIT_ATTENTION:
        return fused.attention(query, key, value, None, dropout)
    return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)


def masked_attention(query: Tensor, key: Tensor, value: Tensor, visible: Tensor, dropout: float = 0.0) -> Tensor:
    """Attention of (batch, heads, length, head_dim) to what ``visible`` says.

    Args:
        query: shape (batch, heads, length, head_dim).
        key: shape (batch, heads, positions, head_dim).
        value: shape of ``key``.
        visible: bool, broadcast to (batch, 1, length, positions), true where a query may attend: somewhere in each row.
        dropout: dropout rate of the attention weights.
    """
    is_short = max(query.size(2), key.size(2)) <= LONGEST_EXPLICIT_ATTENTION
    if uses_cpu_code(query) and is_short and torch.is_grad_enabled():
        return fused.attention(query, key, value, visible, dropout)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=visible, dropout_p=dropout)


def squared_relu(hidden: Tensor) -> Tensor:
    """The square of the positive part (So et al. 2021, Primer)."""
    if uses_cpu_code(hidden):
        return fused.squared_relu(hidden)
    return F.relu(hidden).square()


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, cap: float | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Summed cross-entropy, in nats, of the logits ``hidden @ weight.T``.

    On a CPU the logits of all positions are never in memory at once.

    Args:
        hidden: shape (positions, hidden_size).
        weight: shape (vocabulary, hidden_size), cast to the dtype of ``hidden``.
        targets: int64 of shape (positions,); -100 is ignored.
        cap: soft cap of the logits, which become ``cap * tanh(logits / cap)`` (Gemma Team 2024).
        label_smoothing: the fraction of each target's probability that is spread evenly over the vocabulary
            (Szegedy et al. 2016).

    Returns:
        float32 scalar.
    """
    if uses_cpu_code(hidden):
        is_target = targets != -100
        if not is_target.all():
            # Ignored positions, such as a whole prompt, need no logits.
            hidden, targets = hidden[is_target], targets[is_target]
        return fused.linear_cross_entropy(hidden, weight, targets, cap, label_smoothing)
    logits = F.linear(hidden, weight.to(hidden.dtype)).float()
    logits = logits if cap is None else cap * torch.tanh(logits / cap)
    return F.cross_entropy(logits, targets, reduction="sum", label_smoothing=label_smoothing)


def uses_cpu_code(tensor: Tensor) -> bool:
    """Whether hand-derived CPU code computes on this tensor, and not the plain formula."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()
