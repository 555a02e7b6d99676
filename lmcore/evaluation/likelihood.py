"""How well a model predicts held-out documents: perplexity per token and bits per byte."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lmcore.evaluation.bootstrap import Bootstrap, Estimate, Floats, ratio, ratio_difference

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

    @property
    def n_tokens(self) -> npt.NDArray[np.int64]:
        """(n_documents,) the number of tokens of each document."""
        return np.array([len(document) for document in self.tokens], dtype=np.int64)


def bits_of(documents: HeldOutDocuments, log_probabilities: Floats) -> Floats:
    """The information in each document in bits, (n_documents,), from natural logarithms (n_tokens,)."""
    ends = np.cumsum(documents.n_tokens)
    totals = np.diff(np.concatenate(([0.0], np.cumsum(log_probabilities)))[np.concatenate(([0], ends))])
    return np.asarray(-totals / np.log(2.0))


class LikelihoodMeasures:
    """Figures over one set of held-out documents, all from the same resamples."""

    def __init__(self, documents: HeldOutDocuments, bootstrap: Bootstrap) -> None:
        self._bootstrap = bootstrap
        self._n_tokens = documents.n_tokens.astype(np.float64)
        self._n_bytes = documents.n_bytes.astype(np.float64)

    def perplexity(self, bits: Floats) -> Estimate:
        """Perplexity per token of a model that needs ``bits`` (n_documents,)."""
        statistics = np.stack((bits, self._n_tokens), axis=1)
        return self._bootstrap.estimate(statistics, lambda sums: np.exp2(ratio(sums)))

    def pseudo_perplexity(self, bits: Floats, n_guessed: npt.NDArray[np.int64]) -> Estimate:
        """Perplexity of a model that needs ``bits`` for ``n_guessed`` tokens, both (n_documents,)."""
        statistics = np.stack((bits, n_guessed.astype(np.float64)), axis=1)
        return self._bootstrap.estimate(statistics, lambda sums: np.exp2(ratio(sums)))

    def bits_per_byte(self, bits: Floats) -> Estimate:
        """Bits per byte of text of a model that needs ``bits`` (n_documents,)."""
        return self._bootstrap.estimate(np.stack((bits, self._n_bytes), axis=1), ratio)

    def bits_per_byte_difference(self, bits: Floats, reference: Floats) -> Estimate:
        """Bits per byte more (or, if negative, fewer) than those of a reference on the same documents."""
        statistics = np.stack((bits, self._n_bytes, reference, self._n_bytes), axis=1)
        return self._bootstrap.estimate(statistics, ratio_difference)
