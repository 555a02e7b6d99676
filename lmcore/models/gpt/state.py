"""What the GPT keeps of the positions it has read."""

import torch
from torch import Tensor

from lmcore.models.layers.key_value_cache import KeyValueCache
from lmcore.models.prepared_weights import PreparedWeights


class GPTState(KeyValueCache):
    """Keys and values of the positions read so far, the last token's embedding, which token shift
    needs, and the tokens, which n-gram heads need.

    Arguments as for :class:`KeyValueCache`.
    """

    def __init__(
        self, num_hidden_layers: int, shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(num_hidden_layers, shape, dtype, device)
        self.last_embedding: Tensor | None = None
        self.tokens: Tensor | None = None
        """Int64 of shape (batch, positions), which n-gram heads need."""
        self.weights: list[Tensor] | None = None
        """The model's parameters, once single tokens are read."""
        self.prepared = PreparedWeights()
        """The same weights, prepared for reading single tokens."""

    def with_new(self, tokens: Tensor) -> Tensor:
        """Append tokens (batch, new positions); returns all of them, int64 (batch, positions)."""
        self.tokens = tokens if self.tokens is None else torch.cat((self.tokens, tokens), dim=1)
        return self.tokens

    def fork(self, n_continuations: int, is_text: Tensor | None = None) -> None:
        """Give every text several continuations, see :meth:`KeyValueCache.fork`."""
        super().fork(n_continuations, is_text)
        if self.last_embedding is not None:
            self.last_embedding = self.last_embedding.repeat_interleave(n_continuations, dim=0)
        if self.tokens is not None:
            self.tokens = self.tokens.repeat_interleave(n_continuations, dim=0)

    def select(self, rows: Tensor) -> None:
        """Select rows of the batch by index, see :meth:`KeyValueCache.select`."""
        super().select(rows)
        if self.last_embedding is not None:
            self.last_embedding = self.last_embedding[rows]
        if self.tokens is not None:
            self.tokens = self.tokens[rows]
