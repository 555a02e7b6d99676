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
    """The probability mass that n-grams of one length give to the next shorter length."""

    discounts: Floats
    """Shape (4,), subtracted from the count of n-grams counted 0, 1, 2, and 3 or more times."""
    totals: Floats
    """Shape (n_contexts,), the sum of the counts of a context's continuations; 0 for a context without any."""
    backoff: Floats
    """Shape (n_contexts,), the mass left for the shorter length; 1 for a context without continuations."""

    @classmethod
    def of(cls, table: NgramTable, n_contexts: int, vocabulary_size: int, discounts: Floats) -> Self:
        """Sum the counts and the discounts of every context's continuations."""
        contexts = table.keys // vocabulary_size
        discounted = np.bincount(contexts, discounts[np.minimum(table.counts, 3)], minlength=n_contexts)
        totals = np.bincount(contexts, table.counts, minlength=n_contexts).astype(np.float64)
        backoff = np.divide(discounted, totals, out=np.ones(n_contexts), where=totals > 0)
        return cls(discounts, totals, backoff)

    def discounted_frequency(self, counts: Integers, contexts: Integers) -> Floats:
        """The discounted relative frequency of n-grams counted ``counts`` times after ``contexts``."""
        return (counts - self.discounts[np.minimum(counts, 3)]) / np.maximum(self.totals[contexts], 1.0)


def estimate_discounts(counts: Integers) -> Floats:
    """The three discounts of modified Kneser-Ney, after a zero for unseen n-grams: float64 of shape (4,).

    If no n-gram is counted exactly once, twice, three or four times, the corpus is too small for estimates, and fixed
    discounts are used.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6).astype(np.float64)
    if not np.all(n[1:5] > 0):
        return np.array((0.0, *DISCOUNTS_OF_A_SMALL_CORPUS))
    y = n[1] / (n[1] + 2 * n[2])
    estimates = np.array([count - (count + 1) * y * n[count + 1] / n[count] for count in (1, 2, 3)])
    # In a small corpus, the second or third estimate can be zero or negative; a context whose continuations are all
    # that frequent would then leave no mass for unseen tokens.
    return np.array((0.0, *np.where(estimates > 0, estimates, estimates[0])))


@dataclass(frozen=True)
class NgramScores:
    """What the model says about the tokens of documents, concatenated."""

    log_probabilities: Floats
    """Shape (n_tokens,), natural logarithms."""
    context_lengths: npt.NDArray[np.int64]
    """Shape (n_tokens,), the length of the longest context seen in training: 0 to order - 1."""
    backoff: Floats
    """Shape (n_tokens,), the mass that this context backs off: near 0 where counts are conclusive."""


class KneserNey:
    """An interpolated modified Kneser-Ney model over integer tokens.

    Every document is predicted from its start: the context of its first token is one ``start_token``, usually the
    end-of-text token. The recursion ends in the uniform distribution, from which unseen tokens get their probability.
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
            tokens: integers of shape (n_tokens,), the documents concatenated, each with its end token.
            offsets: integers of shape (n_documents + 1,); document i is ``tokens[offsets[i]:offsets[i + 1]]``.
            order: the length of the longest n-gram, at least 1.
            vocabulary_size: tokens are 0 to ``vocabulary_size - 1``.
            start_token: the context of a document's first token.
            continued: bool of shape (n_documents,), true for a span from the middle of a text, whose preceding tokens
                are unknown. None if every document is whole.

        Raises:
            UserError: the order, the offsets or a token is out of range.
        """
        if order < 1:
            raise UserError(f"the order of an n-gram model must be at least 1; it is {order}")
        _check_range(np.asarray([start_token]), vocabulary_size)
        _check_range(tokens, vocabulary_size)
        tables = count_ngrams(Stream.of(tokens, offsets, start_token, continued), order, vocabulary_size)
        discounts = [estimate_discounts(table.counts) for table in tables]
        return cls(tables, discounts, vocabulary_size, start_token)

    @property
    def discounts(self) -> Floats:
        """Shape (order, 3): the discounts of n-grams counted once, twice and more often, shortest n-grams first."""
        return np.stack([smoothing.discounts[1:] for smoothing in self._smoothing])

    @property
    def n_ngrams(self) -> tuple[int, ...]:
        """The number of distinct n-grams of each length, shortest first."""
        seen = int(np.count_nonzero(self._tables[0].counts))
        return (seen, *(len(table.keys) for table in self._tables[1:]))

    def log_probabilities(self, documents: Sequence[Integers]) -> list[Floats]:
        """The natural logarithm of every token's probability, aligned with the documents' tokens."""
        ends = np.cumsum([len(document) for document in documents])
        return np.split(self.score(documents).log_probabilities, ends[:-1]) if len(documents) else []

    def score(self, documents: Sequence[Integers]) -> NgramScores:
        """Score every token of documents."""
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
        """The probability of every next token after ``context``, shape (vocabulary_size,).

        An empty context is the start of a document; tokens before the last ``start_token`` have no effect.
        """
        probabilities = self._unigrams.copy()
        recent = [self.start_token, *map(int, context)][-(self.order - 1) :] if self.order > 1 else []
        for level in range(1, len(recent) + 1):
            known = self._index(recent[-level:])
            if known < 0 or self._smoothing[level].totals[known] == 0:
                break
            tokens, counts = self._continuations(level, known)
            probabilities *= self._smoothing[level].backoff[known]
            probabilities[tokens] += self._smoothing[level].discounted_frequency(counts, np.full(len(counts), known))
        return probabilities

    def most_frequent_next(self, context: Sequence[int]) -> int | None:
        """The token that was most frequent after the longest known end of ``context``; None if no end is known."""
        recent = [*map(int, context)][-(self.order - 1) :] if self.order > 1 else []
        for level in range(len(recent), 0, -1):
            known = self._index(recent[-level:])
            if known >= 0 and self._smoothing[level].totals[known] > 0:
                tokens, counts = self._continuations(level, known)
                return int(tokens[counts.argmax()])
        return None

    def save(self, path: Path) -> None:
        """Write the model as one safetensors file, with its configuration in the metadata."""
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
        """Load a model that :meth:`save` wrote.

        Raises:
            UserError: the file holds something else.
        """
        with safe_open(path, framework="numpy") as file:
            metadata = (file.metadata() or {}).get("kneser_ney")
            if metadata is None:
                raise UserError(f"{path} holds no Kneser-Ney model: its metadata has no entry 'kneser_ney'")
            configuration = json.loads(metadata)
            lengths = range(1, configuration["order"] + 1)
            tables = [NgramTable(file.get_tensor(f"keys.{n}"), file.get_tensor(f"counts.{n}")) for n in lengths]
            discounts = [file.get_tensor(f"discounts.{n}") for n in lengths]
        return cls(tables, discounts, configuration["vocabulary_size"], configuration["start_token"])

    def _mix(self, level: int, contexts: Integers, indices: Integers, lower: Floats) -> Floats:
        """Interpolate n-grams (by index; -1 if never seen) with the probabilities ``lower`` of the shorter length."""
        smoothing, table = self._smoothing[level], self._tables[level]
        counts = np.where(indices >= 0, table.counts[indices], 0) if len(table.counts) else np.zeros_like(indices)
        return smoothing.discounted_frequency(counts, contexts) + smoothing.backoff[contexts] * lower

    def _index(self, ngram: Sequence[int]) -> int:
        """The index of an n-gram in the table of its length, -1 if it was never seen."""
        index = ngram[0]
        for length, token in enumerate(ngram[1:], start=1):
            index = int(self._tables[length].find(np.array(index * self.vocabulary_size + token)))
            if index < 0:
                break
        return index

    def _continuations(self, level: int, context: int) -> tuple[Integers, Integers]:
        """The tokens seen after a context, ascending, and their counts."""
        table, size = self._tables[level], self.vocabulary_size
        first, end = np.searchsorted(table.keys, (context * size, (context + 1) * size))
        return table.keys[first:end] - context * size, table.counts[first:end]


def _check_range(tokens: Integers, vocabulary_size: int) -> None:
    if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < vocabulary_size:
        raise UserError(
            f"tokens must be between 0 and {vocabulary_size - 1} (vocabulary_size is {vocabulary_size}); "
            f"these are between {tokens.min()} and {tokens.max()}"
        )
