"""A cache language model: a token that occurred recently is likely to occur again.

Source: Kuhn and De Mori (1990), "A cache-based natural language model for speech recognition",
https://doi.org/10.1109/34.56193. On its own it predicts badly; interpolated with another model
(:mod:`lmcore.evaluation.language_models.interpolation`) it adapts that model to the text at hand.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lmcore.errors import UserError
from lmcore.evaluation.intervals import Floats
from lmcore.evaluation.language_models.likelihood import Tokens

Ids = npt.NDArray[np.int64]

BEGINNING = -1
"""The context of a stream's first token."""


@dataclass(frozen=True)
class CacheModel:
    """An n-gram model of the last tokens of a stream, whose counts decay.

    The weight of a token is ``decay`` times that of the next one. The count of an n-gram is the sum of the weights of
    its last tokens. Distributions are smoothed by those of contexts one token shorter, and finally by the uniform
    distribution, which counts as ``prior`` tokens at each step (MacKay & Peto 1995). So a context that occurred more
    often gets more weight, and every token has some probability.

    Attributes:
        order: length of the longest n-gram, at least 1.
        num_tokens: how many tokens back the cache reaches.
        decay: in (0, 1].
        prior: above 0, in tokens.
        vocabulary_size: number of tokens in the vocabulary.
    """

    order: int
    num_tokens: int
    decay: float
    prior: float
    vocabulary_size: int

    def __post_init__(self) -> None:
        if self.order < 1 or self.num_tokens < 1 or not 0.0 < self.decay <= 1.0 or self.prior <= 0.0:
            raise UserError(f"order and num_tokens must be at least 1, decay in (0, 1] and prior above 0; got {self}")

    def log_probabilities(self, tokens: Tokens) -> Floats:
        """The natural logarithm of every token's probability given those before it.

        Args:
            tokens: concatenated documents, (n_tokens,); the cache is not cleared between them.
        """
        probabilities = np.full(len(tokens), 1.0 / self.vocabulary_size)
        # The n-gram that ends at each position, as its number among all n-grams of that length; the first is empty.
        context, ngram = np.zeros(len(tokens), np.int64), np.asarray(tokens, np.int64)
        for _ in range(self.order):
            seen, continued = self._weights(context), self._weights(ngram)
            probabilities = (continued + self.prior * probabilities) / (seen + self.prior)
            context = np.concatenate(([BEGINNING], ngram[:-1]))
            ngram = _numbered(context, tokens)
        return np.asarray(np.log(probabilities))

    def _weights(self, ids: Ids) -> Floats:
        """For each position, the decayed number of positions in the cache with the same id, (n_tokens,)."""
        n = len(ids)
        positions = np.arange(n)
        by_id = np.argsort(ids, kind="stable")
        ordered = ids[by_id]
        sums = _decayed_sums(ordered, by_id, self.decay)
        rank = np.empty(n, np.int64)
        rank[by_id] = positions
        last = self._sum_up_to(rank - 1, ids, ordered, by_id, sums)
        # What is out of reach: everything up to the last position of the same id that the cache no longer holds.
        _, number = np.unique(ordered, return_inverse=True)
        keys = number * (n + 1) + by_id
        oldest = np.searchsorted(keys, keys[rank] - self.num_tokens) - 1
        return np.maximum(last - self._sum_up_to(oldest, ids, ordered, by_id, sums), 0.0)

    def _sum_up_to(self, ranks: Ids, ids: Ids, ordered: Ids, by_id: Ids, sums: Floats) -> Floats:
        """The sum at each rank's position, decayed up to positions 0, 1, ...; 0 where the rank has another id."""
        known = (ranks >= 0) & (ordered[ranks] == ids)
        distance = np.arange(len(ids)) - by_id[ranks] - 1
        return np.where(known, sums[ranks] * self.decay ** np.maximum(distance, 0), 0.0)


def _numbered(context: Ids, tokens: Tokens) -> Ids:
    """Equal numbers for equal pairs of a context's number and a token."""
    size = int(np.max(tokens, initial=0)) + 1
    _, number = np.unique(context * size + tokens, return_inverse=True)
    return np.asarray(number, np.int64)


def _decayed_sums(ordered: Ids, positions: Ids, decay: float) -> Floats:
    """For groups of equal ids at ascending positions: the decayed count of the group up to each position.

    Each round adds to every sum the sum that ends just before it starts, so that their reach doubles (Hillis & Steele
    1986).
    """
    sums = np.ones(len(ordered))
    reach = 1
    while reach < len(ordered) and (same := ordered[reach:] == ordered[:-reach]).any():
        sums[reach:] += np.where(same, sums[:-reach] * decay ** (positions[reach:] - positions[:-reach]).clip(0), 0.0)
        reach *= 2
    return sums
