"""What the GPT keeps of the positions it has read."""

import torch
from torch import Tensor

from lmcore.models.layers.key_value_cache import KeyValueCache


class GPTState(KeyValueCache):
    """Keys and values of the positions read so far, the last embeddings, which token shift needs, and all tokens, which
    n-gram heads need.

    Arguments as for :class:`KeyValueCache`.
    """

    def __init__(
        self, num_hidden_layers: int, shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(num_hidden_layers, shape, dtype, device)
        self.last_embeddings: Tensor | None = None
        """Shape (batch, positions read last, hidden_size)."""
        self.tokens: Tensor | None = None
        """Int64 of shape (batch, positions), which n-gram heads need."""

    def truncate(self, length: int) -> None:
        """Forget all but the first ``length`` positions, of those read last, see :meth:`KeyValueCache.truncate`."""
        if self.last_embeddings is not None:
            n_kept = self.last_embeddings.size(1) - self.length + length
            assert n_kept > 0, "only the positions read last can be forgotten, and not all of them"
            self.last_embeddings = self.last_embeddings[:, :n_kept]
        if self.tokens is not None:
            self.tokens = self.tokens[:, :length]
        super().truncate(length)

    def with_new(self, tokens: Tensor) -> Tensor:
        """Append tokens (batch, new positions); returns all of them, int64 (batch, positions)."""
        self.tokens = tokens if self.tokens is None else torch.cat((self.tokens, tokens), dim=1)
        return self.tokens

    def fork(self, n_continuations: int, is_text: Tensor | None = None) -> None:
        """Give every text several continuations, see :meth:`KeyValueCache.fork`."""
        super().fork(n_continuations, is_text)
        if self.last_embeddings is not None:
            self.last_embeddings = self.last_embeddings.repeat_interleave(n_continuations, dim=0)
        if self.tokens is not None:
            self.tokens = self.tokens.repeat_interleave(n_continuations, dim=0)

    def select(self, rows: Tensor) -> None:
        """Select rows of the batch by index, see :meth:`KeyValueCache.select`."""
        super().select(rows)
        if self.last_embeddings is not None:
            self.last_embeddings = self.last_embeddings[rows]
        if self.tokens is not None:
            self.tokens = self.tokens[rows]
