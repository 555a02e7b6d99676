"""Training batches for models that carry their state from one batch to the next."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lmcore.errors import UserError
from lmcore.tokens.batches.batches import Batch, TokenArray


class StreamBatches:
    """A corpus cut into ``batch_size`` streams that are read side by side, each batch going on where the last ended.

    Every epoch starts at another place of the corpus, so that the streams and windows are others each time
    (Merity et al. 2017 vary the windows' length to that end). What does not fill a window at the end of a stream,
    fewer than ``sequence_length``, is left out of that epoch.

    Args:
        training: flat token ids, documents each ended by the end token.
        validation: likewise; at most ``max_validation_windows`` windows of it are used.

    Raises:
        ValueError: if either has too few tokens for one batch.
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
        # A short validation split is read in fewer streams rather than not at all.
        self._n_validation_streams = max(1, min(batch_size, (len(validation) - 1) // sequence_length))
        found = _count_batches(validation, self._n_validation_streams, sequence_length, "validation")
        self._n_validation_batches = min(found, max(1, max_validation_windows // self._n_validation_streams))

    def training_batch(self, step: int) -> Batch:
        """The batch of a step, tokens and targets int64 (batch, sequence_length)."""
        epoch, place = divmod(step, self._n_batches)
        return self._cut(self._training, self.batch_size, place, self._first_token(epoch))

    def validation_batches(self) -> Iterator[Batch]:
        """The first validation windows of every stream, in their order."""
        for place in range(self._n_validation_batches):
            yield self._cut(self._validation, self._n_validation_streams, place, first_token=0)

    def drawn(self, n_batches: int) -> dict[str, Any]:
        """What is needed to know which tokens a training on the first ``n_batches`` has seen, as JSON values."""
        return {
            "kind": "streams",
            "sequence_length": self._window_tokens,
            "batch_size": self.batch_size,
            "n_batches": min(n_batches, self._n_batches),
            "first_token": self._first_token(0),
        }

    def _first_token(self, epoch: int) -> int:
        return int(np.random.default_rng([self._seed, epoch]).integers(len(self._training)))

    def _cut(self, stream: TokenArray, n_streams: int, place: int, first_token: int) -> Batch:
        starts = first_token + np.arange(n_streams) * (len(stream) // n_streams) + place * self._window_tokens
        places = (starts[:, None] + np.arange(self._window_tokens + 1)) % len(stream)
        cut = torch.from_numpy(stream[places].astype(np.int64))
        return Batch(cut[:, :-1].contiguous(), cut[:, 1:].contiguous(), continues=place > 0)


def tokens_of_streams(stream: TokenArray, drawn: dict[str, Any]) -> tuple[TokenArray, npt.NDArray[np.int64]]:
    """The tokens that a training on :class:`StreamBatches` has seen in its first epoch.

    Returns:
        the tokens, flat, and the int64 offsets (pieces + 1,) of the streams in them.
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
            f"{n_streams} streams: collect more text, or lower pretrain.sequence_length or the batch size"
        )
    return n_batches
