"""A Transformer's cache of keys and values, and attention to them."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore.errors import UserError
from lmcore.models.cpu.fused import causal_attention

MIN_CAPACITY = 32
GROWTH = 1.5


class KeyValueCache:
    """Keys and values of the positions read so far, per layer, in buffers that grow as needed.

    :meth:`fork` lets each text have several continuations, which share its keys and values. Every continuation then
    adds positions of its own, and a mask says which of a text's positions belong to which of its continuations. So a
    beam search, which goes on with other continuations after each token, changes the mask and copies no keys (the
    tree attention of Miao et al. 2023, SpecInfer, https://arxiv.org/abs/2305.09781).

    Args:
        num_hidden_layers: of the model.
        shape: (batch, key-value heads, head_dim) of one layer's keys at one position.
        dtype: of the activations.
        device: of the model.
    """

    def __init__(self, num_hidden_layers: int, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> None:
        batch, num_attention_heads, head_dim = shape
        self.keys = [
            torch.empty(batch, num_attention_heads, 0, head_dim, dtype=dtype, device=device)
            for _ in range(num_hidden_layers)
        ]
        self.values = [torch.empty_like(keys) for keys in self.keys]
        self.last_embedding: Tensor | None = None
        self.step: Callable[[Tensor, KeyValueCache, Tensor | None], Tensor] | None = None
        """What the model prepared for reading single tokens, once and for as long as this cache is used."""
        self.length = 0
        """Positions that each continuation has read."""
        self._n_filled = 0
        """Positions of the buffers that are in use: as many as ``length``, or more with several continuations."""
        self._visible: Tensor | None = None
        """Once forked, boolean (texts, continuations, filled positions): those that a continuation attends to."""

    @property
    def n_continuations(self) -> int:
        """Of each text; rows of the batch are continuations, those of one text beside each other."""
        return 1 if self._visible is None else self._visible.size(1)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None = None) -> Tensor:
        """Append new positions to one layer and let them attend to all before them and to themselves.

        ``length`` moves on only when the model calls :meth:`advance`, after the last layer.

        Args:
            layer: whose keys and values these are.
            query: (batch, heads, new positions, head_dim).
            key: (batch, key-value heads, new positions, head_dim); groups of query heads share them where there
                are fewer (Ainslie et al. 2023).
            value: likewise.
            visible: boolean (batch, 1, new positions, positions), false where a query may not look; None for the first
                positions, of which each sees those before it, and for a single one, which sees all. Ignored once
                forked: :meth:`fork` has been told what is visible.

        Returns:
            (batch, heads, new positions, head_dim).
        """
        n_new = query.size(2)
        if self._visible is None:
            keys, values = self._append(layer, key, value)
            if n_new == 1:
                return attend_to_shared(query, keys, values, visible)
            keys, values = (repeat_heads(part, query.size(1) // part.size(1)) for part in (keys, values))
            return attend_to_itself(query, keys, values, visible)
        if n_new > 1:
            raise UserError(f"continuations of one text read one token at a time, not {n_new}")
        n_texts, n_continuations, _ = self._visible.shape
        # The positions of one text's continuations lie side by side in its buffer.
        key, value = (
            part.view(n_texts, n_continuations, *part.shape[1:]).transpose(1, 2).flatten(2, 3) for part in (key, value)
        )
        keys, values = self._append(layer, key, value)
        return attend_to_shared(query, keys, values, self._visible_to_new().unsqueeze(1))

    def advance(self, n_positions: int) -> None:
        """Count ``n_positions`` more positions of each continuation as read."""
        if self._visible is not None:
            self._visible = self._visible_to_new()
        self.length += n_positions
        self._n_filled += n_positions * self.n_continuations

    def fork(self, n_continuations: int, is_text: Tensor | None = None) -> None:
        """Give every text several continuations, in adjacent rows of the batch.

        Args:
            n_continuations: of each text.
            is_text: boolean (batch, positions), false where a text is left-padded; None where none is.
        """
        n_texts = self.keys[0].size(0)
        if is_text is None:
            is_text = torch.ones(n_texts, self.length, dtype=torch.bool, device=self.keys[0].device)
        self._visible = is_text.unsqueeze(1).repeat(1, n_continuations, 1)
        if self.last_embedding is not None:
            self.last_embedding = self.last_embedding.repeat_interleave(n_continuations, dim=0)

    def select(self, rows: Tensor) -> None:
        """Select rows of the batch by index (int64, any order, repeats allowed).

        Once forked, as many rows of one text as it has continuations have to follow each other.
        """
        texts = rows
        if self._visible is not None:
            texts, continuations = texts_of(rows, self.n_continuations)
            self._visible = self._visible[texts.unsqueeze(1), continuations]
        if not is_everything(texts, self.keys[0].size(0)):
            self.keys = [keys[texts, :, : self._n_filled] for keys in self.keys]
            self.values = [values[texts, :, : self._n_filled] for values in self.values]
        if self.last_embedding is not None:
            self.last_embedding = self.last_embedding[rows]

    def _append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values of one layer, (texts, key-value heads, positions, head_dim), the new ones last."""
        end = self._n_filled + key.size(2)
        if end > self.keys[layer].size(2):
            capacity = max(end, MIN_CAPACITY, int(self._n_filled * GROWTH))
            self.keys[layer] = self._grown(self.keys[layer], capacity)
            self.values[layer] = self._grown(self.values[layer], capacity)
        self.keys[layer][:, :, self._n_filled : end] = key
        self.values[layer][:, :, self._n_filled : end] = value
        return self.keys[layer][:, :, :end], self.values[layer][:, :, :end]

    def _grown(self, buffer: Tensor, capacity: int) -> Tensor:
        grown = buffer.new_empty(*buffer.shape[:2], capacity, buffer.size(3))
        grown[:, :, : self._n_filled] = buffer[:, :, : self._n_filled]
        return grown

    def _visible_to_new(self) -> Tensor:
        """What the next position of each continuation attends to: (texts, continuations, positions with the new)."""
        assert self._visible is not None
        n_texts, n_continuations, n_positions = self._visible.shape
        if n_positions > self._n_filled:
            return self._visible
        itself = torch.eye(n_continuations, dtype=torch.bool, device=self._visible.device)
        return torch.cat((self._visible, itself.expand(n_texts, -1, -1)), dim=2)


def attend_to_itself(query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None) -> Tensor:
    """Attention of (batch, heads, length, head_dim): causal, or as ``visible`` (batch, 1, length, length) has it."""
    if visible is None:
        return causal_attention(query, key, value)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=visible)


def attend_to_shared(query: Tensor, keys: Tensor, values: Tensor, visible: Tensor | None) -> Tensor:
    """Attention of one position of every row, where rows beside each other, and groups of heads, share keys and values.

    They stand where the positions of a longer query would, so that nothing is repeated.

    Args:
        query: (texts · continuations, heads, 1, head_dim).
        keys: (texts, key-value heads, positions, head_dim).
        values: likewise.
        visible: boolean (texts, 1, 1 or continuations, positions), true where a query may look; None for everywhere.

    Returns:
        as ``query``.
    """
    n_rows, num_attention_heads, _, head_dim = query.shape
    n_texts, n_shared = keys.shape[:2]
    parts = (n_texts, n_rows // n_texts, n_shared, num_attention_heads // n_shared, head_dim)
    folded = query.view(parts).transpose(1, 2).reshape(n_texts, n_shared, -1, head_dim)
    if visible is not None and visible.size(2) > 1:
        visible = visible.repeat_interleave(num_attention_heads // n_shared, dim=2)
    attended = F.scaled_dot_product_attention(folded, keys, values, attn_mask=visible)
    return attended.view(n_texts, n_shared, -1, *parts[3:]).transpose(1, 2).reshape(query.shape)


def repeat_heads(part: Tensor, group_size: int) -> Tensor:
    """Keys or values (batch, key-value heads, ...) for every query head of their groups."""
    return part if group_size == 1 else part.repeat_interleave(group_size, dim=1)


def texts_of(rows: Tensor, n_continuations: int) -> tuple[Tensor, Tensor]:
    """The text (texts,) and the continuations (texts, continuations) that rows of a batch are, see :meth:`select`."""
    rows = rows.view(-1, n_continuations)
    return rows[:, 0] // n_continuations, rows % n_continuations


def is_everything(rows: Tensor, n_rows: int) -> bool:
    """Whether ``rows`` are all rows of a batch in their order."""
    return len(rows) == n_rows and torch.equal(rows, torch.arange(n_rows, device=rows.device))
