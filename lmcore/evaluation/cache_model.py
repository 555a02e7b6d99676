"""A cache: what was said a moment ago is likely to be said again.

Source: Kuhn and De Mori (1990), "A cache-based natural language model for speech recognition",
https://doi.org/10.1109/34.56193. Alone it predicts badly; mixed with another model (``interpolation.py``) it tells
that model what the text at hand is about.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lmcore.errors import UserError
from lmcore.evaluation.intervals import Floats
from lmcore.evaluation.likelihood import Tokens

Ids = npt.NDArray[np.int64]

BEGINNING = -1
"""The context of a stream's first token."""


@dataclass(frozen=True)
class CacheModel:
    """A decaying count of the n-grams among the last tokens of one stream.

    Every token back weighs ``decay`` times the one behind it. An n-gram's weight goes, behind its context, to its last
    token; what the contexts of ``order`` - 1 tokens do not know is left to those one token shorter, and at the end to
    the uniform distribution, which ``prior`` tokens speak for in each step (MacKay & Peto 1995). So a context counts
    the more the more often it was seen, and every token has some probability.

    Attributes:
        order: length of the longest n-gram, at least 1.
        n_tokens: how far back the cache reaches.
        decay: above 0, at most 1.
        prior: above 0, in tokens.
        vocabulary_size: how many tokens there are.
    """

    order: int
    n_tokens: int
    decay: float
    prior: float
    vocabulary_size: int

    def __post_init__(self) -> None:
        if self.order < 1 or self.n_tokens < 1 or not 0.0 < self.decay <= 1.0 or self.prior <= 0.0:
            raise UserError(f"order and n_tokens must be at least 1, decay in (0, 1] and prior above 0; got {self}")

    def log_probabilities(self, tokens: Tokens) -> Floats:
        """The natural logarithm of every token's probability given those before it.

        Args:
            tokens: (n_tokens,) documents end to end: the cache remembers across their borders.
        """
        probabilities = np.full(len(tokens), 1.0 / self.vocabulary_size)
        # Of the n-gram that ends at each place its number among all n-grams of that length; at first of no tokens.
        context, ngram = np.zeros(len(tokens), np.int64), np.asarray(tokens, np.int64)
        for _ in range(self.order):
            seen, continued = self._weights(context), self._weights(ngram)
            probabilities = (continued + self.prior * probabilities) / (seen + self.prior)
            context = np.concatenate(([BEGINNING], ngram[:-1]))
            ngram = _numbered(context, tokens)
        return np.asarray(np.log(probabilities))

    def _weights(self, ids: Ids) -> Floats:
        """For each place the decayed number of places in the cache that have the same id, (n_tokens,)."""
        n = len(ids)
        places = np.arange(n)
        by_id = np.argsort(ids, kind="stable")
        ordered = ids[by_id]
        sums = _decayed_sums(ordered, by_id, self.decay)
        rank = np.empty(n, np.int64)
        rank[by_id] = places
        last = self._sum_up_to(rank - 1, ids, ordered, by_id, sums)
        # Those too far back: the last place of the same id that the cache does not reach any more.
        _, number = np.unique(ordered, return_inverse=True)
        keys = number * (n + 1) + by_id
        oldest = np.searchsorted(keys, keys[rank] - self.n_tokens) - 1
        return np.maximum(last - self._sum_up_to(oldest, ids, ordered, by_id, sums), 0.0)

    def _sum_up_to(self, ranks: Ids, ids: Ids, ordered: Ids, by_id: Ids, sums: Floats) -> Floats:
        """The sum at the place of each rank as it has decayed at the places 0, 1, ...; 0 where that has another id."""
        known = (ranks >= 0) & (ordered[ranks] == ids)
        distance = np.arange(len(ids)) - by_id[ranks] - 1
        return np.where(known, sums[ranks] * self.decay ** np.maximum(distance, 0), 0.0)


def _numbered(context: Ids, tokens: Tokens) -> Ids:
    """Equal numbers for equal pairs of a context's number and a token."""
    size = int(np.max(tokens, initial=0)) + 1
    _, number = np.unique(context * size + tokens, return_inverse=True)
    return np.asarray(number, np.int64)


def _decayed_sums(ordered: Ids, places: Ids, decay: float) -> Floats:
    """For runs of equal ids, at ascending places: how many there were up to each place, decayed from there on.

    Every round adds to each sum the one that ended where it began, so that they double in reach (Hillis & Steele 1986).
    """
    sums = np.ones(len(ordered))
    reach = 1
    while reach < len(ordered) and (same := ordered[reach:] == ordered[:-reach]).any():
        sums[reach:] += np.where(same, sums[:-reach] * decay ** (places[reach:] - places[:-reach]).clip(0), 0.0)
        reach *= 2
    return sums
