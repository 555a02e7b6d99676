"""How well a model predicts held-out documents: perplexity per token and bits per byte."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lmcore.evaluation.intervals import Bootstrap, Estimate, Floats, ratio, ratio_difference

Tokens = npt.NDArray[np.integer]


@dataclass(frozen=True)
class HeldOutDocuments:
    """Documents of one split, each with its final end token, and the size of their texts.

    Bits per byte compare models with different vocabularies: the bits are those of all tokens, the end token
    included, and the bytes those of the text in UTF-8.
    """

    ids: tuple[str, ...]
    tokens: tuple[Tokens, ...]
    n_bytes: npt.NDArray[np.int64]
    """(n_documents,)"""
    are_one_stream: bool = False
    """Whether a document is read behind those before it, and not alone."""

    @property
    def texts(self) -> tuple[Tokens, ...]:
        """What is read from its start to its end: the documents one by one, or all of them end to end."""
        return (np.concatenate(self.tokens),) if self.are_one_stream and self.tokens else self.tokens

    def some(self, rows: npt.NDArray[np.int64]) -> "HeldOutDocuments":
        """Those with the given numbers, in that order."""
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            tokens=tuple(self.tokens[row] for row in rows),
            n_bytes=self.n_bytes[rows],
        )

    @property
    def n_tokens(self) -> npt.NDArray[np.int64]:
        """(n_documents,) the number of tokens of each document."""
        return np.array([len(document) for document in self.tokens], dtype=np.int64)


def bits_of(documents: HeldOutDocuments, log_probabilities: Floats) -> Floats:
    """The information in each document in bits, (n_documents,), from natural logarithms (n_tokens,)."""
    ends = np.cumsum(documents.n_tokens)
    totals = np.diff(np.concatenate(([0.0], np.cumsum(log_probabilities)))[np.concatenate(([0], ends))])
    return np.asarray(-totals / np.log(2.0))


class BitsPerUnit:
    """The bits that models need for each unit (byte, token) of the same items, all from the same resamples.

    Args:
        units: how many units each item has, (n_items,).
        bootstrap: of as many items.
    """

    def __init__(self, units: npt.NDArray[np.int64], bootstrap: Bootstrap) -> None:
        self._bootstrap = bootstrap
        self._units = units.astype(np.float64)

    def of(self, bits: Floats) -> Estimate:
        """Of a model that needs ``bits`` (n_items,)."""
        return self._bootstrap.estimate(np.stack((bits, self._units), axis=1), ratio, within=(0.0, np.inf))

    def perplexity(self, bits: Floats) -> Estimate:
        """As a perplexity per unit."""
        return self.of(bits).mapped(math.exp2)

    def difference(self, bits: Floats, reference: Floats) -> Estimate:
        """How many more (or, if negative, fewer) than those of a reference on the same items."""
        statistics = np.stack((bits, self._units, reference, self._units), axis=1)
        return self._bootstrap.estimate(statistics, ratio_difference)
