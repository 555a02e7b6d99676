"""Training batches from token ids, in an order that is a pure function of seed and step."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lmcore.errors import UserError

IGNORED = -100
"""The target of a position that does not count, as in the losses of torch."""
TRAINING, VALIDATION = 0, 1
"""First element of the seeds of masking and corruption, so that training and validation draw different numbers."""

# Within this many batches, examples are grouped by length: little padding, most of the shuffle kept.
BATCHES_PER_BUCKET_POOL = 32
# Padded lengths are multiples of this, so that few shapes occur.
LENGTH_MULTIPLE = 4

FIELDS_OF_EVERY_BATCH = ("tokens", "targets", "continues")
Example = tuple[Sequence[int], Sequence[int] | int]
"""Tokens and targets."""
TokenArray = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Batch:
    """A batch of sequences and their targets.

    Attributes:
        tokens: int64 (batch, length).
        targets: int64 (batch, length) token ids, or (batch,) classes; ``IGNORED`` does not count.
        continues: whether every sequence continues the one at the same index of the previous batch.
        document_ids: int64 (batch, length), the document of each token, equal for adjacent tokens of a document, so
            that no token attends to another document; None: there is no such mask.
        target_document_ids: for a model with an encoder and a decoder, that of each target, int64 of its shape.
    """

    tokens: Tensor
    targets: Tensor
    continues: bool = False
    document_ids: Tensor | None = None
    target_document_ids: Tensor | None = None

    @property
    def n_targets(self) -> int:
        """Number of targets that count."""
        return int((self.targets != IGNORED).sum())

    @property
    def arguments(self) -> dict[str, Tensor]:
        """What a model's loss needs besides tokens and targets, as named arguments."""
        others = {field.name: getattr(self, field.name) for field in fields(self)[len(FIELDS_OF_EVERY_BATCH) :]}
        return {name: tensor for name, tensor in others.items() if tensor is not None}

    def to(self, device: torch.device) -> Self:
        """The batch on another device; from pinned memory it is copied asynchronously."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> Self:
        """The batch in page-locked memory, from which a GPU copies asynchronously."""
        return self._mapped(Tensor.pin_memory)

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        changed = {name: change(tensor) for name, tensor in self.arguments.items()}
        changes: dict[str, Any] = {"tokens": change(self.tokens), "targets": change(self.targets), **changed}
        return replace(self, **changes)


class Batches(Protocol):
    """The training and validation batches of a training."""

    n_examples: int
    batch_size: int
    """Number of sequences per batch; the last batch of an epoch may be smaller."""

    @property
    def batches_per_epoch(self) -> float:
        """Number of batches that contain every example once; not whole if a batch may belong to two epochs."""

    def training_batch(self, step: int) -> Batch:
        """The batch of a step; always the same for the same step."""

    def validation_batches(self) -> Iterator[Batch]:
        """The validation examples, in a fixed order."""


def example_order(n_examples: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """The order of the examples in one epoch, int64 (n_examples,)."""
    return _example_order(n_examples, seed, epoch)


@lru_cache(maxsize=2)
def _example_order(n_examples: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(n_examples)


def drawn_examples(n_examples: int, seed: int, first: int, count: int) -> npt.NDArray[np.int64]:
    """The examples at positions ``first`` to ``first + count`` of the endless sequence of epochs, int64 (count,)."""
    parts = []
    while count:
        epoch, position = divmod(first, n_examples)
        part = example_order(n_examples, seed, epoch)[position : position + count]
        parts.append(part)
        first, count = first + len(part), count - len(part)
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


class WindowBatches:
    """Windows of ``sequence_length`` tokens cut from the concatenated documents, with next tokens as targets.

    Windows do not overlap, and every epoch shuffles them again, so each epoch covers every token once.

    Args:
        training: token ids (n_tokens,), each document followed by the end token.
        validation: the same for validation.
        sequence_length: number of tokens per window.
        batch_size: number of windows per batch.
        seed: seed of the order of the windows.
        max_validation_windows: how many of the first validation windows are used.
        end_of_text_id: the end token, if tokens must not attend to other documents: batches then have the document of
            each token. An end token belongs to the document after it, whose first token it predicts, as in generation.

    Raises:
        UserError: if training or validation has too few tokens for one window.
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
        end_of_text_id: int | None = None,
    ) -> None:
        self.batch_size, self._end_of_text_id = batch_size, end_of_text_id
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
        """Yield the first validation windows, in order."""
        for start in range(0, self._n_validation_windows, self.batch_size):
            windows = np.arange(start, min(start + self.batch_size, self._n_validation_windows))
            yield self._cut(self._validation, windows)

    def drawn(self, n_batches: int) -> dict[str, Any]:
        """Describe, as JSON values, which tokens the first ``n_batches`` contain (see :func:`tokens_of_windows`)."""
        n_windows = min(n_batches * self.batch_size, self.n_examples)
        return {"kind": "windows", "sequence_length": self._window_tokens, "n_windows": n_windows, "seed": self._seed}

    def _cut(self, stream: TokenArray, windows: npt.NDArray[np.int64]) -> Batch:
        positions = windows[:, None] * self._window_tokens + np.arange(self._window_tokens + 1)
        cut = torch.from_numpy(stream[positions].astype(np.int64))
        tokens, targets = cut[:, :-1].contiguous(), cut[:, 1:].contiguous()
        if self._end_of_text_id is None:
            return Batch(tokens, targets)
        return Batch(tokens, targets, document_ids=(tokens == self._end_of_text_id).cumsum(dim=1))


def tokens_of_windows(stream: TokenArray, drawn: dict[str, Any]) -> tuple[TokenArray, npt.NDArray[np.int64]]:
    """The tokens that a training on :class:`WindowBatches` has seen.

    Args:
        stream: the token ids of the training split (n_tokens,).
        drawn: the result of :meth:`WindowBatches.drawn`.

    Returns:
        The token ids (n_seen,), adjacent windows joined, and the int64 offsets of the joined spans (n_spans + 1,).
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
            "add more text or lower sequence_length"
        )
    return n_windows


class ExampleBatches:
    """Examples of different lengths, right-padded, with examples of similar length in the same batch.

    Every epoch contains every example once, in the smallest number of batches, which differ in size by at most one.

    Args:
        training: (tokens, targets) of each example; targets are a class, or token ids: as many as tokens, or any
            number for a model with an encoder and a decoder.
        validation: the same for validation.
        batch_size: the most examples per batch.
        seed: seed of the order of the examples.
        padding: token id to pad with; padded targets are ``IGNORED``.
    """

    def __init__(
        self,
        training: Sequence[Example],
        validation: Sequence[Example],
        *,
        batch_size: int,
        seed: int,
        padding: int,
    ) -> None:
        self.n_examples, self.batch_size = len(training), batch_size
        self.batches_per_epoch = math.ceil(len(training) / batch_size)
        self._training, self._seed, self._padding = training, seed, padding
        self._lengths = np.array([_lengths(example) for example in training]).reshape(-1, 2)
        self._validation = sorted(validation, key=_lengths)

    def training_batch(self, step: int) -> Batch:
        """The batch of a step, a function of seed and step alone."""
        epoch, batch = divmod(step, self.batches_per_epoch)
        pool, index = divmod(batch, BATCHES_PER_BUCKET_POOL)
        return padded([self._training[example] for example in self._pool(epoch, pool)[index]], self._padding)

    def validation_batches(self) -> Iterator[Batch]:
        """Yield all validation examples, shortest first."""
        for start in range(0, len(self._validation), self.batch_size):
            yield padded(self._validation[start : start + self.batch_size], self._padding)

    def _pool(self, epoch: int, pool: int) -> list[npt.NDArray[np.int64]]:
        """The examples of each batch of a pool, in the order of the batches."""
        order = example_order(self.n_examples, self._seed, epoch)
        first = pool * BATCHES_PER_BUCKET_POOL
        last = min(first + BATCHES_PER_BUCKET_POOL, self.batches_per_epoch)
        starts = np.arange(first, last + 1) * self.n_examples // self.batches_per_epoch
        drawn = order[starts[0] : starts[-1]]
        longest, n_tokens = self._lengths[drawn].T
        by_length = drawn[np.lexsort((n_tokens, longest))]
        batches = np.split(by_length, starts[1:-1] - starts[0])
        return [batches[index] for index in np.random.default_rng([self._seed, epoch, pool]).permutation(len(batches))]


def padded(examples: Sequence[Example], padding: int) -> Batch:
    """Examples as one batch, right-padded with the token ``padding``; padded targets are ``IGNORED``."""
    tokens = torch.full((len(examples), _padded_length([tokens for tokens, _ in examples])), padding)
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


def _lengths(example: Example) -> tuple[int, int]:
    """The key that sorts examples so that batches have little padding: the longer of tokens and targets, and tokens."""
    tokens, targets = example
    n_targets = 0 if isinstance(targets, int | np.integer) else len(targets)
    return max(len(tokens), n_targets), len(tokens)


def _padded_length(sequences: Sequence[Sequence[int]]) -> int:
    longest = max(map(len, sequences))
    return longest + -longest % LENGTH_MULTIPLE
