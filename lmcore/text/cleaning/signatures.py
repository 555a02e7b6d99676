"""Shingles of documents and their MinHash signatures.

MinHash (Broder 1997, "On the resemblance and containment of documents"): the ratio of equal numbers in two signatures
estimates the Jaccard similarity of the two sets of shingles.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lmcore.text.words.hashes import Hashes, Offsets, WordHashes, run_hashes

N_PERMUTATIONS = 32
NO_WORDS = np.iinfo(np.uint32).max
# Odd random factors: multiplying hashes by one of them permutes them.
FACTORS = np.random.Generator(np.random.PCG64(20)).integers(2**63, size=N_PERMUTATIONS, dtype=np.uint64) * 2 + 1
HIGH_BITS = np.uint64(32)

Signatures = npt.NDArray[np.uint32]


class Shingles(NamedTuple):
    """Shingles of several texts: uint64 hashes (n_shingles,), and the int64 start of each text's (n_texts + 1,)."""

    hashes: Hashes
    offsets: Offsets


def shingles(words: WordHashes, n_words: int) -> Shingles:
    """The runs of ``n_words`` words in each text; its single words if a text has fewer than that."""
    runs, run_offsets = run_hashes(words, n_words)
    n_of_text, n_runs = np.diff(words.offsets), np.diff(run_offsets)
    has_runs = n_runs > 0
    lengths = np.where(has_runs, n_runs, n_of_text)
    hashes = np.empty(lengths.sum(), np.uint64)
    is_run = np.repeat(has_runs, lengths)
    hashes[is_run] = runs
    hashes[~is_run] = words.words[np.repeat(~has_runs, n_of_text)]
    return Shingles(hashes, np.concatenate([[0], np.cumsum(lengths)]))


def signatures(texts: Sequence[WordHashes], shingle_words: int) -> Signatures:
    """The MinHash signature of each text, uint32 (n_texts, 32); all maximal for a text without words."""
    parts = (_signatures(shingles(words, shingle_words)) for words in texts)
    return np.concatenate([np.empty((0, N_PERMUTATIONS), np.uint32), *parts])


def has_words(text_signatures: Signatures) -> npt.NDArray[np.bool_]:
    """Whether each text with these signatures has any words, bool (n_texts,)."""
    result: npt.NDArray[np.bool_] = text_signatures.min(axis=1, initial=NO_WORDS) < NO_WORDS
    return result


def _signatures(text_shingles: Shingles) -> Signatures:
    is_empty = np.diff(text_shingles.offsets) == 0
    numbers = np.full((len(is_empty), N_PERMUTATIONS), NO_WORDS, np.uint32)
    starts = text_shingles.offsets[:-1][~is_empty]
    if len(starts):
        for index, factor in enumerate(FACTORS):
            numbers[~is_empty, index] = np.minimum.reduceat((text_shingles.hashes * factor) >> HIGH_BITS, starts)
    return numbers
