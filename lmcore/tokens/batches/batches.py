"""From tokens to training batches, in an order that is a pure function of the seed and the step."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lmcore.errors import UserError

IGNORED = -100
"""A target that does not count, as torch's losses have it."""

# Sequences are brought together by length within this many batches: little padding, much of the shuffle kept.
BATCHES_PER_BUCKET_POOL = 32
# Padded lengths are multiples of this, so that few shapes occur.
LENGTH_MULTIPLE = 8

TokenArray = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Batch:
    """A portion of training.

    Attributes:
        tokens: int64 (batch, length).
        targets: int64 (batch, length) next tokens, or (batch,) classes; ``IGNORED`` does not count.
        continues: whether every sequence goes on where that of the batch before ended.
    """

    tokens: Tensor
    targets: Tensor
    continues: bool = False

    @property
    def n_targets(self) -> int:
        """How many targets count."""
        return int((self.targets != IGNORED).sum())

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device; from pinned memory it is copied while the caller goes on."""
        tokens, targets = (tensor.to(device, non_blocking=True) for tensor in (self.tokens, self.targets))
        return Batch(tokens, targets, self.continues)

    def pinned(self) -> "Batch":
        """The same batch in memory that a GPU reads by itself."""
        return Batch(self.tokens.pin_memory(), self.targets.pin_memory(), self.continues)


class Batches(Protocol):
    """What a training is fed with."""

    n_examples: int
    batch_size: int
    """Of most batches; at the end of an epoch one may be smaller."""

    @property
    def batches_per_epoch(self) -> float:
        """How many batches hold every example once; a fraction where a batch may be of two epochs."""

    def training_batch(self, step: int) -> Batch:
        """The batch of a step: the same for the same step, always."""

    def validation_batches(self) -> Iterator[Batch]:
        """The validation examples, in a fixed order."""


def example_order(n_examples: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """The order of the examples in one epoch, int64 (n_examples,)."""
    return _example_order(n_examples, seed, epoch)


@lru_cache(maxsize=2)
def _example_order(n_examples: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(n_examples)


def drawn_examples(n_examples: int, seed: int, first: int, count: int) -> npt.NDArray[np.int64]:
    """The examples at places ``first`` to ``first + count`` of the endless sequence of epochs, int64 (count,)."""
    parts = []
    while count:
        epoch, place = divmod(first, n_examples)
        part = example_order(n_examples, seed, epoch)[place : place + count]
        parts.append(part)
        first, count = first + len(part), count - len(part)
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


class WindowBatches:
    """Windows of ``sequence_length`` tokens cut from one stream of documents, each with its next tokens.

    Windows do not overlap, and every epoch shuffles them anew, so that an epoch sees every token once.

    Args:
        training: flat token ids, documents each ended by the end token.
        validation: likewise; its first ``max_validation_windows`` windows are used.

    Raises:
        ValueError: if either has too few tokens for one window.
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
        self.n_examples = _count_windows(training, sequence_length, "training")
        self.batches_per_epoch = self.n_examples / batch_size
        n_validation = _count_windows(validation, sequence_length, "validation")
        self._n_validation_windows = min(n_validation, max_validation_windows)

    def training_batch(self, step: int) -> Batch:
        """The batch of a step, tokens and targets int64 (batch, sequence_length)."""
        windows = drawn_examples(self.n_examples, self._seed, step * self.batch_size, self.batch_size)
        return self._cut(self._training, windows)

    def validation_batches(self) -> Iterator[Batch]:
        """The first validation windows, in their order."""
        for start in range(0, self._n_validation_windows, self.batch_size):
            windows = np.arange(start, min(start + self.batch_size, self._n_validation_windows))
            yield self._cut(self._validation, windows)

    def drawn(self, n_batches: int) -> dict[str, Any]:
        """What is needed to know which tokens a training on the first ``n_batches`` has seen, as JSON values."""
        n_windows = min(n_batches * self.batch_size, self.n_examples)
        return {"kind": "windows", "sequence_length": self._window_tokens, "n_windows": n_windows, "seed": self._seed}

    def _cut(self, stream: TokenArray, windows: npt.NDArray[np.int64]) -> Batch:
        places = windows[:, None] * self._window_tokens + np.arange(self._window_tokens + 1)
        cut = torch.from_numpy(stream[places].astype(np.int64))
        return Batch(cut[:, :-1].contiguous(), cut[:, 1:].contiguous())


def tokens_of_windows(stream: TokenArray, drawn: dict[str, Any]) -> tuple[TokenArray, npt.NDArray[np.int64]]:
    """The tokens that a training on :class:`WindowBatches` has seen.

    Windows that follow each other in the stream are joined again.

    Returns:
        the tokens, flat, and the int64 offsets (pieces + 1,) of the joined pieces in them.
    """
    sequence_length = drawn["sequence_length"]
    n_windows = _count_windows(stream, sequence_length, "training")
    windows = np.unique(drawn_examples(n_windows, drawn["seed"], 0, min(drawn["n_windows"], n_windows)))
    starts = np.flatnonzero(np.diff(windows, prepend=-2) > 1)
    tokens = stream[(windows[:, None] * sequence_length + np.arange(sequence_length)).ravel()]
    return tokens, np.append(starts, len(windows)) * sequence_length


def _count_windows(stream: TokenArray, sequence_length: int, split: str) -> int:
    n_windows = (len(stream) - 1) // sequence_length
    if n_windows < 1:
        raise UserError(
            f"the {split} split has {len(stream)} tokens, too few for one window of {sequence_length} + 1: "
            "collect more text or lower pretrain.sequence_length"
        )
    return n_windows


class ExampleBatches:
    """Examples of different length, padded on the right, those of similar length together.

    Every epoch holds every example once, in as few batches of about the same size as do not exceed ``batch_size``.

    Args:
        training: (tokens, targets) per example; targets are a single class, as long as the tokens, or, where a model
            reads the tokens and writes the targets, of any length.
        validation: likewise.
        padding: the token id to pad with; padded targets are ``IGNORED``.
    """

    def __init__(
        self,
        training: Sequence[tuple[Sequence[int], Sequence[int] | int]],
        validation: Sequence[tuple[Sequence[int], Sequence[int] | int]],
        *,
        batch_size: int,
        seed: int,
        padding: int,
    ) -> None:
        self.n_examples, self.batch_size = len(training), batch_size
        self.batches_per_epoch = math.ceil(len(training) / batch_size)
        self._training, self._seed, self._padding = training, seed, padding
        self._lengths = np.array([len(tokens) for tokens, _ in training])
        self._validation = sorted(validation, key=lambda example: len(example[0]))

    def training_batch(self, step: int) -> Batch:
        """The batch of a step; which batches share a pool, and their order in it, depends on seed and step alone."""
        epoch, place = divmod(step, self.batches_per_epoch)
        pool, place_in_pool = divmod(place, BATCHES_PER_BUCKET_POOL)
        return self._pad([self._training[example] for example in self._pool(epoch, pool)[place_in_pool]])

    def validation_batches(self) -> Iterator[Batch]:
        """All validation examples, shortest first."""
        for start in range(0, len(self._validation), self.batch_size):
            yield self._pad(self._validation[start : start + self.batch_size])

    def _pool(self, epoch: int, pool: int) -> list[npt.NDArray[np.int64]]:
        """The examples of each batch of a pool."""
        order = example_order(self.n_examples, self._seed, epoch)
        first = pool * BATCHES_PER_BUCKET_POOL
        last = min(first + BATCHES_PER_BUCKET_POOL, self.batches_per_epoch)
        starts = np.arange(first, last + 1) * self.n_examples // self.batches_per_epoch
        drawn = order[starts[0] : starts[-1]]
        by_length = drawn[np.argsort(self._lengths[drawn], kind="stable")]
        batches = np.split(by_length, starts[1:-1] - starts[0])
        return [batches[place] for place in np.random.default_rng([self._seed, epoch, pool]).permutation(len(batches))]

    def _pad(self, examples: Sequence[tuple[Sequence[int], Sequence[int] | int]]) -> Batch:
        tokens = torch.full((len(examples), _padded_length([tokens for tokens, _ in examples])), self._padding)
        sequences = [targets for _, targets in examples if not isinstance(targets, int | np.integer)]
        shape = (len(examples), _padded_length(sequences)) if sequences else (len(examples),)
        targets = torch.full(shape, IGNORED)
        for row, (example_tokens, example_targets) in enumerate(examples):
            tokens[row, : len(example_tokens)] = torch.tensor(example_tokens)
            if isinstance(example_targets, int | np.integer):
                targets[row] = example_targets
            else:
                targets[row, : len(example_targets)] = torch.tensor(example_targets)
        return Batch(tokens, targets)


def _padded_length(sequences: Sequence[Sequence[int]]) -> int:
    longest = max(map(len, sequences))
    return longest + -longest % LENGTH_MULTIPLE
