"""How well a model predicts held-out documents: perplexity per token, bits per byte and bits per character."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lmcore.evaluation.intervals import Bootstrap, Floats, ratio, ratio_difference
from lmcore.evaluation.result import Estimate
from lmcore.finetuning.examples import choose_examples
from lmcore.tokens.corpus.shards import TokenShards

Tokens = npt.NDArray[np.integer]


@dataclass(frozen=True)
class HeldOutDocuments:
    """Documents of one split.

    Bits per byte compare models with different vocabularies: the bits of all tokens, the end token included, divided by
    the bytes of the text in UTF-8. So do bits per character; perplexity per token does not.

    Attributes:
        ids: the documents' ids.
        tokens: the tokens of each document, with its end token.
        n_bytes: size of each document's text in UTF-8, int64 (n_documents,).
        n_characters: its length in characters, int64 (n_documents,).
        is_stream: whether a document is read as the continuation of those before it, and not on its own.
    """

    ids: tuple[str, ...]
    tokens: tuple[Tokens, ...]
    n_bytes: npt.NDArray[np.int64]
    n_characters: npt.NDArray[np.int64]
    is_stream: bool = False

    @property
    def texts(self) -> tuple[Tokens, ...]:
        """The sequences that a model reads from start to end: each document, or all of them concatenated."""
        return (np.concatenate(self.tokens),) if self.is_stream and self.tokens else self.tokens

    def select(self, indices: npt.NDArray[np.int64]) -> "HeldOutDocuments":
        """The documents with the given indices, in that order."""
        return replace(
            self,
            ids=tuple(self.ids[index] for index in indices),
            tokens=tuple(self.tokens[index] for index in indices),
            n_bytes=self.n_bytes[indices],
            n_characters=self.n_characters[indices],
        )

    @property
    def n_tokens(self) -> npt.NDArray[np.int64]:
        """Number of tokens of each document, (n_documents,)."""
        return np.array([len(document) for document in self.tokens], dtype=np.int64)

    def bits(self, log_probabilities: Floats) -> Floats:
        """The information in each document in bits, (n_documents,), from natural logarithms (n_tokens,)."""
        ends = np.cumsum(self.n_tokens)
        totals = np.diff(np.concatenate(([0.0], np.cumsum(log_probabilities)))[np.concatenate(([0], ends))])
        return np.asarray(-totals / np.log(2.0))


def read_held_out(
    shards: TokenShards, split: str, max_documents: int | None, *, is_stream: bool, seed: int
) -> HeldOutDocuments:
    """At most ``max_documents`` of a split, all if None: a random sample, or of a stream the beginning."""
    ids, offsets, tokens = shards.document_ids(split), shards.offsets(split), shards.tokens(split)
    limit = len(ids) if max_documents is None else max_documents
    chosen = list(range(min(limit, len(ids)))) if is_stream else choose_examples(range(len(ids)), limit, seed)
    return HeldOutDocuments(
        ids=tuple(ids[index] for index in chosen),
        tokens=tuple(np.array(tokens[offsets[index] : offsets[index + 1]]) for index in chosen),
        n_bytes=shards.n_bytes(split)[chosen],
        n_characters=shards.n_characters(split)[chosen],
        is_stream=is_stream,
    )


class BitsPerUnit:
    """Bits that models need per unit (byte, character or token) of the same items, all from the same resamples.

    Args:
        units: number of units of each item, (n_items,).
        bootstrap: resamples of as many items.
    """

    def __init__(self, units: npt.NDArray[np.int64], bootstrap: Bootstrap) -> None:
        self._bootstrap = bootstrap
        self._units = units.astype(np.float64)

    def estimate(self, bits: Floats) -> Estimate:
        """Bits per unit of a model that needs ``bits`` (n_items,)."""
        return self._bootstrap.estimate(np.stack((bits, self._units), axis=1), ratio, within=(0.0, np.inf))

    def perplexity(self, bits: Floats) -> Estimate:
        """The same as a perplexity per unit."""
        return self.estimate(bits).mapped(math.exp2)

    def difference(self, bits: Floats, reference: Floats) -> Estimate:
        """Bits per unit minus those of a reference on the same items."""
        statistics = np.stack((bits, self._units, reference, self._units), axis=1)
        return self._bootstrap.difference(statistics, ratio_difference)
