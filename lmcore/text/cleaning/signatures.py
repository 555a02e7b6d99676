"""Shingles of documents, and signatures that tell how similar the sets of two documents' shingles are.

MinHash (Broder 1997, "On the resemblance and containment of documents"): the share of equal numbers in two signatures
estimates the Jaccard similarity of the two sets.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lmcore.text.words.hashes import Hashes, Offsets, WordHashes, run_hashes

N_PERMUTATIONS = 32
NO_WORDS = np.iinfo(np.uint32).max
# Odd factors, drawn once: multiplied by them, shingles stand in another order each time.
FACTORS = np.random.Generator(np.random.PCG64(20)).integers(2**63, size=N_PERMUTATIONS, dtype=np.uint64) * 2 + 1
HIGH_BITS = np.uint64(32)

Signatures = npt.NDArray[np.uint32]


class Shingles(NamedTuple):
    """Shingles of several texts: their hashes (n_shingles,), and where each text's begin (n_texts + 1,)."""

    hashes: Hashes
    offsets: Offsets


def shingles(words: WordHashes, n_words: int) -> Shingles:
    """The runs of ``n_words`` words of some texts; the words of a text that has fewer."""
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
    """The MinHash signature of each text, uint32 (n_texts, 32); without a word it has the highest numbers."""
    parts = (_signatures(shingles(words, shingle_words)) for words in texts)
    return np.concatenate([np.empty((0, N_PERMUTATIONS), np.uint32), *parts])


def has_words(some: Signatures) -> npt.NDArray[np.bool_]:
    """Whether the texts that signatures are of have any words (n_texts,)."""
    known: npt.NDArray[np.bool_] = some.min(axis=1, initial=NO_WORDS) < NO_WORDS
    return known


def _signatures(some: Shingles) -> Signatures:
    is_empty = np.diff(some.offsets) == 0
    numbers = np.full((len(is_empty), N_PERMUTATIONS), NO_WORDS, np.uint32)
    starts = some.offsets[:-1][~is_empty]
    if len(starts):
        for place, factor in enumerate(FACTORS):
            numbers[~is_empty, place] = np.minimum.reduceat((some.hashes * factor) >> HIGH_BITS, starts)
    return numbers
