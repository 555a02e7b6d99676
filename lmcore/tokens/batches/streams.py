"""Training batches for models that carry their state from one batch to the next (truncated backpropagation)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lmcore.errors import UserError
from lmcore.tokens.batches.batches import Batch, TokenArray


class StreamBatches:
    """A corpus cut into ``batch_size`` streams that are read in parallel, each batch continuing the previous one.

    Every epoch starts at another position of the corpus, so that its streams and windows differ (Merity et al. 2017
    vary the window length for the same reason). Fewer than ``sequence_length`` tokens at the end of each stream are
    left out of an epoch.

    Args:
        training: token ids (n_tokens,), each document followed by the end token.
        validation: the same for validation.
        sequence_length: number of tokens per window.
        batch_size: number of streams.
        seed: seed of the start positions.
        max_validation_windows: how many validation windows are used at most.

    Raises:
        UserError: if training or validation has too few tokens for one batch.
    """

    def __init__(
        self,
        training: TokenArray,
        validation: TokenArray,
        *,
        sequence_length: int,
        batch_size: int,
        seed: int,
        max_validation_windows: int,
    ) -> None:
        self.batch_size = batch_size
        self._training, self._validation = training, validation
        self._window_tokens, self._seed = sequence_length, seed
        self._n_batches = _count_batches(training, batch_size, sequence_length, "training")
        self.n_examples = self._n_batches * batch_size
        self.batches_per_epoch = float(self._n_batches)
        # A short validation split is read in fewer streams.
        self._n_validation_streams = max(1, min(batch_size, (len(validation) - 1) // sequence_length))
        found = _count_batches(validation, self._n_validation_streams, sequence_length, "validation")
        self._n_validation_batches = min(found, max(1, max_validation_windows // self._n_validation_streams))

    def training_batch(self, step: int) -> Batch:
        """The batch of a step, tokens and targets int64 (batch, sequence_length)."""
        epoch, batch = divmod(step, self._n_batches)
        return self._cut(self._training, self.batch_size, batch, self._first_token(epoch))

    def validation_batches(self) -> Iterator[Batch]:
        """Yield the first validation windows of every stream, in order."""
        for batch in range(self._n_validation_batches):
            yield self._cut(self._validation, self._n_validation_streams, batch, first_token=0)

    def drawn(self, n_batches: int) -> dict[str, Any]:
        """Describe, as JSON values, which tokens the first ``n_batches`` contain (see :func:`tokens_of_streams`)."""
        return {
            "kind": "streams",
            "sequence_length": self._window_tokens,
            "batch_size": self.batch_size,
            "n_batches": min(n_batches, self._n_batches),
            "first_token": self._first_token(0),
        }

    def _first_token(self, epoch: int) -> int:
        return int(np.random.default_rng([self._seed, epoch]).integers(len(self._training)))

    def _cut(self, corpus: TokenArray, n_streams: int, batch: int, first_token: int) -> Batch:
        starts = first_token + np.arange(n_streams) * (len(corpus) // n_streams) + batch * self._window_tokens
        positions = (starts[:, None] + np.arange(self._window_tokens + 1)) % len(corpus)
        cut = torch.from_numpy(corpus[positions].astype(np.int64))
        return Batch(cut[:, :-1].contiguous(), cut[:, 1:].contiguous(), continues=batch > 0)


def tokens_of_streams(stream: TokenArray, drawn: dict[str, Any]) -> tuple[TokenArray, npt.NDArray[np.int64]]:
    """The tokens that a training on :class:`StreamBatches` has seen in its first epoch.

    Args:
        stream: the token ids of the training split (n_tokens,).
        drawn: the result of :meth:`StreamBatches.drawn`.

    Returns:
        The token ids (n_seen,), stream by stream, and the int64 offsets of the streams (n_streams + 1,).
    """
    n_streams, length = drawn["batch_size"], drawn["n_batches"] * drawn["sequence_length"]
    starts = drawn["first_token"] + np.arange(n_streams) * (len(stream) // n_streams)
    tokens = stream[(starts[:, None] + np.arange(length)).ravel() % len(stream)]
    return tokens, np.arange(n_streams + 1, dtype=np.int64) * length


def _count_batches(stream: TokenArray, n_streams: int, sequence_length: int, split: str) -> int:
    n_batches = (len(stream) // n_streams - 1) // sequence_length
    if n_batches < 1:
        raise UserError(
            f"the {split} split has {len(stream)} tokens, too few for a window of {sequence_length} + 1 in each of "
            f"{n_streams} streams: add more text, or lower sequence_length or batch_size"
        )
    return n_batches
