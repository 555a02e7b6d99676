"""A Transformer's cache of keys and values."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lmcore.errors import UserError
from lmcore.models.layers.attention import attend, attend_to_shared, repeat_heads
from lmcore.models.prepared_weights import PreparedWeights

MIN_CAPACITY = 32
GROWTH = 1.5


class KeyValueCache:
    """Keys and values of the positions read so far, per layer, in buffers that grow as needed.

    After :meth:`fork`, several continuations of a text share its keys and values. Each continuation then appends
    positions of its own, and a mask says which positions belong to which continuation. A beam search, which replaces
    continuations after every token, changes this mask and copies no keys (the tree attention of Miao et al. 2023,
    SpecInfer, https://arxiv.org/abs/2305.09781).

    Args:
        num_hidden_layers: number of layers.
        shape: (batch, key-value heads, head_dim), the shape of one layer's keys at one position.
        dtype: dtype of the activations.
        device: device of the model.
    """

    def __init__(self, num_hidden_layers: int, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> None:
        batch, n_heads, head_dim = shape
        self.keys = [
            torch.empty(batch, n_heads, 0, head_dim, dtype=dtype, device=device) for _ in range(num_hidden_layers)
        ]
        self.values = [torch.empty_like(keys) for keys in self.keys]
        self.prepared = PreparedWeights()
        """The model's weights, prepared for reading more tokens."""
        self.weights: list[Tensor] | None = None
        """The model's parameters, once tokens are read."""
        self.length = 0
        """Positions that each continuation has read."""
        self._n_filled = 0
        """Positions of the buffers in use: ``length``, or more if there are several continuations."""
        self._n_shared = 0
        """Positions that all continuations of a text share: ``length`` at the fork."""
        self._visible: Tensor | None = None
        """After a fork, bool of shape (texts, continuations, filled positions): what each continuation attends to."""

    @property
    def n_continuations(self) -> int:
        """Continuations per text; the rows of the batch are continuations, those of one text adjacent."""
        return 1 if self._visible is None else self._visible.size(1)

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        visible: Tensor | None = None,
        *,
        bias: Tensor | None = None,
        scale: float | None = None,
    ) -> Tensor:
        """Append new positions to one layer, and attend from them to all earlier positions and to themselves.

        ``length`` changes only when the model calls :meth:`advance`, after its last layer.

        Args:
            layer: index of the layer.
            query: shape (batch, heads, new positions, head_dim).
            key: shape (batch, key-value heads, new positions, head_dim); with fewer heads than ``query``, groups of
                query heads share them (Ainslie et al. 2023).
            value: shape of ``key``.
            visible: bool of shape (batch, 1, new positions, positions), true where a query may attend. None for the
                first positions, which attend causally, and for a single one, which attends to all. Ignored after
                :meth:`fork`, which has received the mask.
            bias: shape (1, heads, new positions, slots), added to the attention scores, see :meth:`slot_positions`;
                only if each query head has keys of its own.
            scale: factor of the attention scores; None for ``head_dim ** -0.5``.

        Returns:
            shape (batch, heads, new positions, head_dim).
        """
        n_new = query.size(2)
        if self._visible is None:
            keys, values = self._append(layer, key, value)
            if n_new == 1:
                return attend_to_shared(query, keys, values, visible, bias=bias, scale=scale)
            keys, values = (repeat_heads(part, query.size(1) // part.size(1)) for part in (keys, values))
            return attend(query, keys, values, visible, bias=bias, scale=scale)
        if n_new > 1:
            raise UserError(f"continuations of one text read one token at a time, not {n_new}")
        n_texts, n_continuations, _ = self._visible.shape
        # In the buffer of a text, the positions of its continuations are adjacent.
        key, value = (
            part.view(n_texts, n_continuations, *part.shape[1:]).transpose(1, 2).flatten(2, 3) for part in (key, value)
        )
        keys, values = self._append(layer, key, value)
        visible = self._visible_to_new().unsqueeze(1)
        return attend_to_shared(query, keys, values, visible, bias=bias, scale=scale)

    def slot_positions(self, n_new: int) -> Tensor:
        """The position in its continuation of each key in the buffers, int64 (slots,), once ``n_new`` are appended."""
        device = self.keys[0].device
        if self._visible is None:
            return torch.arange(self.length + n_new, device=device)
        shared = torch.arange(self._n_shared, device=device)
        own = torch.arange(self._n_shared, self.length + n_new, device=device)
        return torch.cat((shared, own.repeat_interleave(self.n_continuations)))

    def advance(self, n_positions: int) -> None:
        """Count ``n_positions`` more positions of each continuation as read."""
        if self._visible is not None:
            self._visible = self._visible_to_new()
        self.length += n_positions
        self._n_filled += n_positions * self.n_continuations

    def truncate(self, length: int) -> None:
        """Forget all but the first ``length`` positions; not after a fork."""
        assert self._visible is None, "a text with several continuations cannot be truncated"
        self._n_filled, self.length = length, length

    def fork(self, n_continuations: int, is_text: Tensor | None = None) -> None:
        """Give every text several continuations, in adjacent rows of the batch.

        Args:
            n_continuations: the number of continuations of each text.
            is_text: bool of shape (batch, positions), false at left padding; None if there is no padding.
        """
        n_texts = self.keys[0].size(0)
        if is_text is None:
            is_text = torch.ones(n_texts, self.length, dtype=torch.bool, device=self.keys[0].device)
        self._n_shared = self.length
        self._visible = is_text.unsqueeze(1).repeat(1, n_continuations, 1)

    def select(self, rows: Tensor) -> None:
        """Select rows of the batch by index (int64, any order, repeats allowed).

        After a fork, the rows come in groups: all continuations of one text together.
        """
        texts = rows
        if self._visible is not None:
            texts, continuations = split_rows(rows, self.n_continuations)
            self._visible = self._visible[texts.unsqueeze(1), continuations]
        if not selects_all(texts, self.keys[0].size(0)):
            self.keys = [keys[texts, :, : self._n_filled] for keys in self.keys]
            self.values = [values[texts, :, : self._n_filled] for values in self.values]

    def _append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append to one layer; returns all its keys and values (texts, key-value heads, positions, head_dim)."""
        end = self._n_filled + key.size(2)
        if end > self.keys[layer].size(2):
            capacity = max(end, MIN_CAPACITY, int(self._n_filled * GROWTH))
            self.keys[layer] = self._grow_buffer(self.keys[layer], capacity)
            self.values[layer] = self._grow_buffer(self.values[layer], capacity)
        self.keys[layer][:, :, self._n_filled : end] = key
        self.values[layer][:, :, self._n_filled : end] = value
        return self.keys[layer][:, :, :end], self.values[layer][:, :, :end]

    def _grow_buffer(self, buffer: Tensor, capacity: int) -> Tensor:
        grown = buffer.new_empty(*buffer.shape[:2], capacity, buffer.size(3))
        grown[:, :, : self._n_filled] = buffer[:, :, : self._n_filled]
        return grown

    def _visible_to_new(self) -> Tensor:
        """What the next position of each continuation attends to, itself included, see ``_visible``."""
        assert self._visible is not None
        n_texts, n_continuations, n_positions = self._visible.shape
        if n_positions > self._n_filled:
            return self._visible
        itself = torch.eye(n_continuations, dtype=torch.bool, device=self._visible.device)
        return torch.cat((self._visible, itself.expand(n_texts, -1, -1)), dim=2)


def split_rows(rows: Tensor, n_continuations: int) -> tuple[Tensor, Tensor]:
    """The text index (texts,) and the continuation indices (texts, continuations) of grouped rows of a batch."""
    rows = rows.view(-1, n_continuations)
    return rows[:, 0] // n_continuations, rows % n_continuations


def selects_all(rows: Tensor, n_rows: int) -> bool:
    """Whether ``rows`` selects all rows of a batch in their order."""
    return len(rows) == n_rows and torch.equal(rows, torch.arange(n_rows, device=rows.device))
