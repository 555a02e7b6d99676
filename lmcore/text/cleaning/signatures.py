"""Shingles of documents, and signatures that tell how similar the sets of two documents' shingles are.

MinHash (Broder 1997, "On the resemblance and containment of documents"): the share of equal numbers in two signatures
estimates the Jaccard similarity of the two sets.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lmcore.text.cleaning.word_hashes import Hashes, Offsets, WordHashes, run_hashes

N_PERMUTATIONS = 32
SIGNATURE = pa.binary(4 * N_PERMUTATIONS)
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


def signatures(texts: Sequence[WordHashes], shingle_words: int) -> pa.Array:
    """The MinHash signature of each text, 32 numbers of 32 bits as bytes; null where a text has no word."""
    parts = [_signatures(shingles(words, shingle_words)) for words in texts]
    return pa.concat_arrays([pa.array([], SIGNATURE), *parts])


def from_binary(column: pa.ChunkedArray) -> Signatures:
    """Signatures as numbers, uint32 (n_documents, 32), a view where the column is one piece; any where it is null."""
    return fixed_bytes(column, "<u4").reshape(-1, N_PERMUTATIONS)


def fixed_bytes(column: pa.ChunkedArray, dtype: str) -> npt.NDArray[Any]:
    """A column of bytes, equally many in each row, as an array; a view where the column is one piece."""
    array = column.combine_chunks()
    width = array.type.byte_width
    if len(array) == 0:
        return np.empty(0, dtype)
    _, content = array.buffers()
    return np.frombuffer(content, dtype, len(array) * width // np.dtype(dtype).itemsize, array.offset * width)


def _signatures(some: Shingles) -> pa.Array:
    is_empty = np.diff(some.offsets) == 0
    starts = some.offsets[:-1][~is_empty]
    numbers = np.empty((len(starts), N_PERMUTATIONS), "<u4")
    if len(starts):
        for place, factor in enumerate(FACTORS):
            numbers[:, place] = np.minimum.reduceat((some.hashes * factor) >> HIGH_BITS, starts)
    rows = iter(numbers)
    return pa.array([None if empty else next(rows).tobytes() for empty in is_empty], SIGNATURE)
