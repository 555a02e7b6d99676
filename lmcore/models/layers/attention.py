"""Attention, what each position may attend to, and the check that a sequence fits the context."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore.errors import UserError
from lmcore.models.layers.functional import causal_attention, masked_attention


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    visible: Tensor | None = None,
    *,
    bias: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Attention of shape (batch, heads, length, head_dim): causal, or as ``visible`` says.

    Args:
        query: shape (batch, heads, length, head_dim).
        key: same shape, or with another length if ``visible`` is given.
        value: shape of ``key``.
        visible: bool, broadcast to (batch, heads, length, positions), true where a query may attend; None for causal
            attention or, with a bias, for attention to all.
        bias: broadcast to (batch, heads, length, positions), added to the attention scores.
        scale: factor of the attention scores; None for ``head_dim ** -0.5``.
        dropout: dropout rate of the attention weights.
    """
    if bias is not None:
        mask = masked_bias(bias, visible)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, scale=scale)
    if not dropout and scale is None:
        if visible is None:
            return causal_attention(query, key, value)
        return masked_attention(query, key, value, visible)
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=visible, dropout_p=dropout, is_causal=visible is None, scale=scale
    )


def attend_to_shared(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    visible: Tensor | None,
    *,
    bias: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Attention of one position per row, where adjacent rows, and groups of heads, share keys and values.

    Queries that share keys are processed as the positions of one longer query, so that no key is repeated.

    Args:
        query: shape (texts * continuations, heads, 1, head_dim).
        keys: shape (texts, key-value heads, positions, head_dim).
        values: same shape.
        visible: bool of shape (texts, 1, 1 or continuations, positions), true where a query may attend; None for all.
        bias: shape (1, heads, 1, positions), added to the attention scores; only if each head has keys of its own.
        scale: factor of the attention scores; None for ``head_dim ** -0.5``.

    Returns:
        shape of ``query``.
    """
    n_rows, n_heads, _, head_dim = query.shape
    n_texts, n_shared = keys.shape[:2]
    parts = (n_texts, n_rows // n_texts, n_shared, n_heads // n_shared, head_dim)
    folded = query.view(parts).transpose(1, 2).reshape(n_texts, n_shared, -1, head_dim)
    if visible is not None and visible.size(2) > 1:
        visible = visible.repeat_interleave(n_heads // n_shared, dim=2)
    mask = visible if bias is None else masked_bias(bias, visible)
    attended = F.scaled_dot_product_attention(folded, keys, values, attn_mask=mask, scale=scale)
    return attended.view(n_texts, n_shared, -1, *parts[3:]).transpose(1, 2).reshape(query.shape)


def masked_bias(bias: Tensor, visible: Tensor | None) -> Tensor:
    """The scores that ``bias`` adds where ``visible`` is true, and minus infinity elsewhere."""
    return bias if visible is None else bias.masked_fill(~visible, -torch.inf)


def repeat_heads(part: Tensor, group_size: int) -> Tensor:
    """Repeat keys or values (batch, key-value heads, ...) for every query head of their groups."""
    return part if group_size == 1 else part.repeat_interleave(group_size, dim=1)


def check_context_length(n_positions: int, max_position_embeddings: int) -> None:
    """Check that a sequence fits a model's context.

    Raises:
        UserError: it has more positions than the context.
    """
    if n_positions > max_position_embeddings:
        raise UserError(
            f"{n_positions} tokens do not fit the context of {max_position_embeddings}: shorten the input, or train a "
            "model with a larger max_position_embeddings"
        )


def text_positions(
    n_new: int, start: int, mask: Tensor | None, device: torch.device, document_ids: Tensor | None = None
) -> Tensor:
    """Positions of new tokens, counted from the first token that is not padding, or from the start of each document:
    int64 of shape (length,) or (batch, length).

    Args:
        n_new: number of new tokens in each sequence.
        start: number of tokens before them.
        mask: bool of shape (batch, start + n_new), false at left padding; None if there is no padding.
        device: the device of the result.
        document_ids: int64 of shape (batch, n_new), the document of each token; there is then neither a start nor a
            mask.
    """
    if document_ids is not None:
        positions = torch.arange(n_new, device=device)
        first = torch.where(starts_document(document_ids), positions, 0).cummax(dim=1).values
        return positions - first
    if mask is None:
        return torch.arange(start, start + n_new, device=device)
    return (mask.cumsum(dim=1) - 1).clamp_min(0)[:, start:]


def causal_mask(
    n_new: int, start: int, mask: Tensor | None, device: torch.device, document_ids: Tensor | None = None
) -> Tensor | None:
    """The positions that new tokens may attend to, bool of shape (batch or 1, 1, n_new, positions).

    None if plain causal attention, or attention to all positions before a single new token, is right. Arguments as for
    :func:`text_positions`.
    """
    if document_ids is not None:
        return same_document(document_ids, document_ids).tril()
    if mask is None:
        if start == 0 or n_new == 1:
            return None
        mask = torch.ones(1, start + n_new, dtype=torch.bool, device=device)
    positions = torch.arange(mask.size(1), device=mask.device)
    queries = positions[mask.size(1) - n_new :, None]
    # Padding attends to itself, since attention to nothing is undefined.
    visible = (mask.unsqueeze(1) & (positions <= queries)) | (positions == queries)
    return visible.unsqueeze(1)


def same_document(document_ids: Tensor, source_ids: Tensor) -> Tensor:
    """Which positions are of the same document, bool of shape (batch, 1, length, source length).

    A position without a source of its document, such as padding, attends to all, since attention to nothing is
    undefined.

    Args:
        document_ids: int64 of shape (batch, length), the document of each position.
        source_ids: int64 of shape (batch, source length), those of the positions that it may attend to.
    """
    is_same = document_ids.unsqueeze(2) == source_ids.unsqueeze(1)
    return (is_same | ~is_same.any(dim=2, keepdim=True)).unsqueeze(1)


def starts_document(document_ids: Tensor) -> Tensor:
    """Whether each position is the first one of its document, bool of the shape (batch, length) of the ids."""
    return F.pad(document_ids[:, 1:] != document_ids[:, :-1], (1, 0), value=True)


def padding_mask(is_text: Tensor) -> Tensor | None:
    """The positions that all positions may attend to, bool of shape (batch, 1, 1, length); None if there is no padding.

    Args:
        is_text: bool of shape (batch, length), false at padding. In a sequence that is all padding, everything is
            visible, since attention to nothing is undefined.
    """
    if is_text.all():
        return None
    return (is_text | ~is_text.any(dim=1, keepdim=True))[:, None, None]
