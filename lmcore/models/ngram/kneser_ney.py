"""The n-gram language model: interpolated modified Kneser-Ney smoothing, in whole-array operations.

Source: Chen and Goodman (1998), "An empirical study of smoothing techniques for language modeling",
https://dash.harvard.edu/handle/1/25104739.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save_file

from lmcore.errors import UserError
from lmcore.models.ngram.counts import Integers, NgramTable, Stream, count_ngrams
from lmcore.runtime.files import atomic_file

Floats = npt.NDArray[np.float64]

DISCOUNTS_OF_A_SMALL_CORPUS = (0.5, 1.0, 1.5)


@dataclass(frozen=True)
class Smoothing:
    """What n-grams of one length give away to the length below."""

    discounts: Floats
    """(4,) taken off an n-gram counted 0, 1, 2, and 3 or more times."""
    totals: Floats
    """(n_contexts,) the sum of the counts of a context's continuations; 0 for a context without any."""
    backoff: Floats
    """(n_contexts,) the mass left for the length below; 1 for a context without continuations."""

    @classmethod
    def of(cls, table: NgramTable, n_contexts: int, vocabulary_size: int, discounts: Floats) -> Self:
        """Sum over the continuations of every context what they hold and what they give away."""
        contexts = table.keys // vocabulary_size
        given = np.bincount(contexts, discounts[np.minimum(table.counts, 3)], minlength=n_contexts)
        totals = np.bincount(contexts, table.counts, minlength=n_contexts).astype(np.float64)
        backoff = np.divide(given, totals, out=np.ones(n_contexts), where=totals > 0)
        return cls(discounts, totals, backoff)

    def share(self, counts: Integers, contexts: Integers) -> Floats:
        """What is left of the relative frequency of n-grams counted ``counts`` times behind ``contexts``."""
        return (counts - self.discounts[np.minimum(counts, 3)]) / np.maximum(self.totals[contexts], 1.0)


def estimate_discounts(counts: Integers) -> Floats:
    """The three discounts of modified Kneser-Ney behind a zero for n-grams never seen: float64 (4,).

    A corpus too small to tell (no n-gram counted exactly once, twice, three or four times) gets fixed ones.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6).astype(np.float64)
    if not np.all(n[1:5] > 0):
        return np.array((0.0, *DISCOUNTS_OF_A_SMALL_CORPUS))
    share = n[1] / (n[1] + 2 * n[2])
    estimates = np.array([count - (count + 1) * share * n[count + 1] / n[count] for count in (1, 2, 3)])
    # In a small corpus the second or third estimate may fall to zero or below, and a context whose
    # continuations are all that frequent would leave no mass for the tokens it has not seen.
    return np.array((0.0, *np.where(estimates > 0, estimates, estimates[0])))


@dataclass(frozen=True)
class NgramScores:
    """What the model says about the tokens of some documents, all of them end to end."""

    log_probabilities: Floats
    """(n_tokens,) natural logarithms."""
    context_lengths: npt.NDArray[np.int64]
    """(n_tokens,) how many tokens of the context the training data had seen continued: 0 to order - 1."""
    backoff: Floats
    """(n_tokens,) the mass that this longest known context gives away: near 0 where counts are telling."""


class KneserNey:
    """An interpolated modified Kneser-Ney model over integer tokens.

    Every document is predicted from its start: the context of its first token is one ``start_token``, usually
    the end-of-text token. A token never seen in training gets its share of the uniform distribution in which
    the recursion ends.
    """

    def __init__(
        self,
        tables: Sequence[NgramTable],
        discounts: Sequence[Floats],
        vocabulary_size: int,
        start_token: int,
    ) -> None:
        self.order = len(tables)
        self.vocabulary_size = vocabulary_size
        self.start_token = start_token
        self._tables = tuple(tables)
        n_contexts = (1, *(len(table.keys) for table in tables))
        self._smoothing = tuple(
            Smoothing.of(table, n, vocabulary_size, discount)
            for table, n, discount in zip(tables, n_contexts, discounts, strict=False)
        )
        uniform = np.full(vocabulary_size, 1.0 / vocabulary_size)
        self._unigrams = self._mix(0, np.zeros(vocabulary_size, np.int64), np.arange(vocabulary_size), uniform)

    @classmethod
    def train(
        cls,
        tokens: Integers,
        offsets: Integers,
        *,
        order: int,
        vocabulary_size: int,
        start_token: int,
        continued: npt.NDArray[np.bool_] | None = None,
    ) -> Self:
        """Count and smooth a corpus.

        Args:
            tokens: (n_tokens,) the documents end to end, each with its final end token.
            offsets: (n_documents + 1,) document i is ``tokens[offsets[i]:offsets[i + 1]]``.
            order: the length of the longest n-gram, at least 1.
            vocabulary_size: tokens are 0 to ``vocabulary_size - 1``.
            start_token: the context of a document's first token.
            continued: (n_documents,) true for a piece from the middle of a text: what stood before it is not
                known. None where every document is whole.

        Raises:
            ValueError: the order, the offsets or a token is out of range.
        """
        if order < 1:
            raise UserError(f"The order of an n-gram model is at least 1; it is {order}.")
        _check_range(np.asarray([start_token]), vocabulary_size)
        _check_range(tokens, vocabulary_size)
        tables = count_ngrams(Stream.of(tokens, offsets, start_token, continued), order, vocabulary_size)
        discounts = [estimate_discounts(table.counts) for table in tables]
        return cls(tables, discounts, vocabulary_size, start_token)

    @property
    def discounts(self) -> Floats:
        """(order, 3) what is taken off n-grams counted once, twice and more often, shortest n-grams first."""
        return np.stack([smoothing.discounts[1:] for smoothing in self._smoothing])

    @property
    def n_ngrams(self) -> tuple[int, ...]:
        """How many distinct n-grams of each length the model holds, shortest first."""
        seen = int(np.count_nonzero(self._tables[0].counts))
        return (seen, *(len(table.keys) for table in self._tables[1:]))

    def log_probabilities(self, documents: Sequence[Integers]) -> list[Floats]:
        """The natural logarithm of every token's probability, aligned with the documents' tokens."""
        ends = np.cumsum([len(document) for document in documents])
        return np.split(self.score(documents).log_probabilities, ends[:-1]) if len(documents) else []

    def score(self, documents: Sequence[Integers]) -> NgramScores:
        """Every token's probability, and how much of its context the model knew."""
        tokens = np.concatenate([np.empty(0, np.int64), *documents]).astype(np.int64)
        offsets = np.cumsum([0, *(len(document) for document in documents)])
        _check_range(tokens, self.vocabulary_size)
        stream = Stream.of(tokens, offsets, self.start_token)
        probabilities = self._unigrams[stream.tokens]
        context_lengths = np.zeros(len(stream.tokens), np.int64)
        backoff = np.full(len(stream.tokens), self._smoothing[0].backoff[0])
        ending = stream.tokens
        for level in range(1, self.order):
            contexts = np.where(stream.depth >= level, np.concatenate(([-1], ending[:-1])), -1)
            known = np.flatnonzero(contexts >= 0)
            known = known[self._smoothing[level].totals[contexts[known]] > 0]
            indices = self._tables[level].find(contexts[known] * self.vocabulary_size + stream.tokens[known])
            probabilities[known] = self._mix(level, contexts[known], indices, probabilities[known])
            context_lengths[known] = level
            backoff[known] = self._smoothing[level].backoff[contexts[known]]
            ending = np.full(len(stream.tokens), -1, np.int64)
            ending[known] = indices
        events = stream.depth >= 0
        return NgramScores(np.log(probabilities[events]), context_lengths[events], backoff[events])

    def distribution(self, context: Sequence[int]) -> Floats:
        """The probability of every next token after ``context``: (vocabulary_size,), summing to 1.

        An empty context is the start of a document; so is everything up to the last ``start_token``.
        """
        probabilities = self._unigrams.copy()
        recent = [self.start_token, *map(int, context)][-(self.order - 1) :] if self.order > 1 else []
        for level in range(1, len(recent) + 1):
            known = self._index(recent[-level:])
            if known < 0 or self._smoothing[level].totals[known] == 0:
                break
            tokens, counts = self._continuations(level, known)
            probabilities *= self._smoothing[level].backoff[known]
            probabilities[tokens] += self._smoothing[level].share(counts, np.full(len(counts), known))
        return probabilities

    def save(self, path: Path) -> None:
        """Write the model as one safetensors file, its configuration in the file's metadata."""
        configuration = {
            "order": self.order,
            "vocabulary_size": self.vocabulary_size,
            "start_token": self.start_token,
        }
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        for length, (table, smoothing) in enumerate(zip(self._tables, self._smoothing, strict=True), start=1):
            arrays[f"keys.{length}"], arrays[f"counts.{length}"] = table.keys, table.counts
            arrays[f"discounts.{length}"] = smoothing.discounts
        with atomic_file(path) as temporary:
            save_file(arrays, temporary, metadata={"kneser_ney": json.dumps(configuration)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: the file holds something else.
        """
        with safe_open(path, framework="numpy") as file:
            metadata = (file.metadata() or {}).get("kneser_ney")
            if metadata is None:
                raise UserError(f"{path} holds no Kneser-Ney model: its metadata has no entry 'kneser_ney'.")
            configuration = json.loads(metadata)
            lengths = range(1, configuration["order"] + 1)
            tables = [NgramTable(file.get_tensor(f"keys.{n}"), file.get_tensor(f"counts.{n}")) for n in lengths]
            discounts = [file.get_tensor(f"discounts.{n}") for n in lengths]
        return cls(tables, discounts, configuration["vocabulary_size"], configuration["start_token"])

    def _mix(self, level: int, contexts: Integers, indices: Integers, lower: Floats) -> Floats:
        """Add what n-grams (by index; -1 if never seen) hold to the backed-off probabilities ``lower``."""
        smoothing, table = self._smoothing[level], self._tables[level]
        counts = np.where(indices >= 0, table.counts[indices], 0) if len(table.counts) else np.zeros_like(indices)
        return smoothing.share(counts, contexts) + smoothing.backoff[contexts] * lower

    def _index(self, ngram: Sequence[int]) -> int:
        """The index of an n-gram in the table of its length, -1 if it was never seen."""
        index = ngram[0]
        for length, token in enumerate(ngram[1:], start=1):
            index = int(self._tables[length].find(np.array(index * self.vocabulary_size + token)))
            if index < 0:
                break
        return index

    def _continuations(self, level: int, context: int) -> tuple[Integers, Integers]:
        """The tokens seen behind a context, ascending, and their counts."""
        table, size = self._tables[level], self.vocabulary_size
        first, end = np.searchsorted(table.keys, (context * size, (context + 1) * size))
        return table.keys[first:end] - context * size, table.counts[first:end]


def _check_range(tokens: Integers, vocabulary_size: int) -> None:
    if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < vocabulary_size:
        raise UserError(
            f"Tokens must lie in 0 to {vocabulary_size - 1} (vocabulary_size is {vocabulary_size}); "
            f"these reach from {tokens.min()} to {tokens.max()}."
        )
