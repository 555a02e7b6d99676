"""Packs examples of different lengths into sequences of one length, so that a batch has little padding."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from lmcore.errors import UserError
from lmcore.tokens.batches.batches import IGNORED, Batch, example_order

Example = tuple[Sequence[int], Sequence[int]]
"""The tokens of an example, and as many targets."""


@dataclass(frozen=True)
class Packing:
    """Which lengths are packed into which sequences.

    Attributes:
        lengths: the lengths in each sequence, longest first.
    """

    lengths: tuple[tuple[int, ...], ...]

    def assign(self, examples: Sequence[int], lengths: npt.NDArray[np.int64]) -> list[list[int]]:
        """The examples of each sequence, given an order of all examples and the length of each.

        Examples of equal length exchange their sequences with the order; how many sequences there are does not depend
        on it.
        """
        queues: dict[int, list[int]] = {}
        for example in reversed(examples):
            queues.setdefault(int(lengths[example]), []).append(example)
        return [[queues[length].pop() for length in row] for row in self.lengths]


def best_fit_decreasing(lengths: Sequence[int], capacity: int) -> Packing:
    """Pack lengths, from the longest to the shortest, each into the fullest sequence that has room for it.

    It needs at most 11/9 of the smallest possible number of sequences, plus one (Johnson 1973), and is the strategy
    ``bfd`` of TRL (Ding et al. 2024, https://arxiv.org/abs/2404.10830).

    Args:
        lengths: positive, at most ``capacity``.
        capacity: the length of a sequence.
    """
    rows: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    rooms = 0  # bit r is set if a sequence has room for exactly r more tokens
    for length in sorted(lengths, reverse=True):
        if fitting := rooms >> length:
            room = length + (fitting & -fitting).bit_length() - 1
            row = by_room[room].pop()
            if not by_room[room]:
                rooms ^= 1 << room
            rows[row].append(length)
        else:
            room, row = capacity, len(rows)
            rows.append([length])
        by_room[room - length].append(row)
        rooms |= 1 << (room - length)
    return Packing(tuple(map(tuple, rows)))


class PackedBatches:
    """Examples of different lengths, packed into sequences; no token attends to another example.

    Sequences are filled by :func:`best_fit_decreasing`. Every epoch contains every example once, in the same number of
    sequences, but in another order and with other neighbors.

    Args:
        training: (tokens, targets) of each example; targets are token ids, as many as tokens.
        validation: the same for validation.
        sequence_length: the length of a sequence.
        batch_size: number of sequences per batch; the last batch of an epoch may be smaller.
        seed: seed of the order of the examples.
        padding: token id to pad with; padded targets are ``IGNORED``.

    Raises:
        UserError: an example is longer than a sequence.
    """

    def __init__(
        self,
        training: Sequence[Example],
        validation: Sequence[Example],
        *,
        sequence_length: int,
        batch_size: int,
        seed: int,
        padding: int,
    ) -> None:
        self.n_examples, self.batch_size = len(training), batch_size
        self._training, self._validation = training, validation
        self._sequence_length, self._seed, self._padding = sequence_length, seed, padding
        self._lengths = self._checked_lengths(training)
        self._packing = best_fit_decreasing(self._lengths.tolist(), sequence_length)
        self.batches_per_epoch = math.ceil(len(self._packing.lengths) / batch_size)
        self._epoch: tuple[int, list[list[int]]] = (-1, [])

    def training_batch(self, step: int) -> Batch:
        """The batch of a step, a function of seed and step alone: tokens, targets and document ids int64
        (batch, sequence_length)."""
        epoch, batch = divmod(step, self.batches_per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = epoch, self._rows(epoch)
        rows = self._epoch[1][batch * self.batch_size : (batch + 1) * self.batch_size]
        return self._pack([[self._training[example] for example in row] for row in rows])

    def validation_batches(self) -> Iterator[Batch]:
        """Yield all validation examples, packed in the same way."""
        lengths = self._checked_lengths(self._validation)
        packing = best_fit_decreasing(lengths.tolist(), self._sequence_length)
        rows = packing.assign(range(len(lengths)), lengths)
        for start in range(0, len(rows), self.batch_size):
            yield self._pack(
                [[self._validation[example] for example in row] for row in rows[start : start + self.batch_size]]
            )

    def _rows(self, epoch: int) -> list[list[int]]:
        """The examples of each sequence of an epoch, in the order of the sequences."""
        order = example_order(self.n_examples, self._seed, epoch)
        rows = self._packing.assign(order.tolist(), self._lengths)
        return [rows[index] for index in np.random.default_rng([self._seed, epoch, 1]).permutation(len(rows))]

    def _checked_lengths(self, examples: Sequence[Example]) -> npt.NDArray[np.int64]:
        lengths = np.array([len(tokens) for tokens, _ in examples], dtype=np.int64)
        if len(lengths) and (longest := int(lengths.max())) > self._sequence_length:
            raise UserError(
                f"an example of {longest} tokens does not fit a packed sequence of {self._sequence_length}: shorten "
                "the examples, or raise the length of the sequences"
            )
        return lengths

    def _pack(self, rows: Sequence[Sequence[Example]]) -> Batch:
        shape = len(rows), self._sequence_length
        tokens, targets = torch.full(shape, self._padding), torch.full(shape, IGNORED)
        # Padding is a document of its own, after the others.
        document_ids = torch.tensor([[len(row)] for row in rows]).repeat(1, self._sequence_length)
        for row, examples in enumerate(rows):
            start = 0
            for number, (example_tokens, example_targets) in enumerate(examples):
                part = slice(start, start + len(example_tokens))
                tokens[row, part] = torch.tensor(example_tokens)
                targets[row, part] = torch.tensor(example_targets)
                document_ids[row, part] = number
                start = part.stop
        return Batch(tokens, targets, document_ids=document_ids)
