"""Words and runs of words as 64-bit numbers, for whole batches of texts at once.

The numbers depend on the words alone, in lower case: not on Python's hash seed, the machine, or the neighbors.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lmcore.text.words.segmentation import UNSPACED_SCRIPTS

Hashes = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.int64]

# Small enough that what is computed on the way stays in the processor's cache.
BYTES_PER_BATCH = 130_000
LEAST_POWERS = 1 << 18
# Odd, so that every power has an inverse modulo 2**64.
BYTE_BASE, WORD_BASE = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
BETWEEN_TEXTS = "\x00"

IS_WORD_BYTE = np.zeros(256, bool)
IS_WORD_BYTE[list(b"0123456789_abcdefghijklmnopqrstuvwxyz")] = True
IS_WORD_BYTE[128:] = True
# Characters of two and of three bytes of UTF-8: their first bytes, and how many bytes follow.
LONGER_CHARACTERS = ((0xC2, 0xE0, 1), (0xE0, 0xF0, 2))
N_CODES = 0x10000


class WordHashes(NamedTuple):
    """Words of several texts: their hashes (n_words,), and where each text begins and the last ends (n_texts + 1,)."""

    words: Hashes
    offsets: Offsets


def word_hashes(texts: Sequence[str]) -> Iterator[WordHashes]:
    """Yield the words of texts, some texts at a time, in order.

    A word is a run of letters, digits and underscores, or a character of a script without spaces between words.
    """
    batch: list[str] = []
    n_bytes = 0
    for text in texts:
        batch.append(text)
        n_bytes += len(text)
        if n_bytes >= BYTES_PER_BATCH:
            yield _hash_words(batch)
            batch, n_bytes = [], 0
    if batch:
        yield _hash_words(batch)


def run_hashes(words: WordHashes, n_words: int) -> tuple[Hashes, Offsets]:
    """Every run of ``n_words`` words that follow each other in a text: hashes, and where each text's begin."""
    hashes, offsets = words
    n_runs = np.maximum(np.diff(offsets) - n_words + 1, 0)
    run_offsets = np.concatenate([[0], np.cumsum(n_runs)])
    starts = np.arange(run_offsets[-1]) + np.repeat(offsets[:-1] - run_offsets[:-1], n_runs)
    powers, inverses = _powers(WORD_BASE, _capacity(len(hashes) + 1))
    sums = _sums_before(hashes, powers)
    return _mix((sums[starts + n_words] - sums[starts]) * inverses[starts]), run_offsets


def _hash_words(texts: Sequence[str]) -> WordHashes:
    joined = BETWEEN_TEXTS.join(text.replace(BETWEEN_TEXTS, " ") for text in texts).lower()
    code = np.frombuffer(joined.encode("utf-8", "replace"), np.uint8)
    starts, ends = _word_borders(code, is_ascii=joined.isascii())
    powers, inverses = _powers(BYTE_BASE, _capacity(len(code) + 1))
    sums = _sums_before(code, powers)
    hashes = _mix((sums[ends] - sums[starts]) * inverses[starts])
    between = np.flatnonzero(code == 0)
    return WordHashes(hashes, np.concatenate([[0], np.searchsorted(starts, between), [len(starts)]]).astype(np.int64))


def _sums_before(values: npt.NDArray[np.unsignedinteger[Any]], powers: Hashes) -> Hashes:
    """The sum of values times powers before each place, and of all (n_values + 1,)."""
    sums = np.zeros(len(values) + 1, np.uint64)
    np.multiply(values, powers[: len(values)], out=sums[1:], dtype=np.uint64)
    np.cumsum(sums[1:], out=sums[1:])
    return sums


def _word_borders(code: npt.NDArray[np.uint8], *, is_ascii: bool) -> tuple[Offsets, Offsets]:
    """Where words start and where they end in text as bytes of UTF-8."""
    is_word = np.zeros(len(code) + 1, bool)
    np.take(IS_WORD_BYTE, code, out=is_word[:-1])
    if is_ascii:
        changes = np.flatnonzero(np.diff(is_word, prepend=False))
        return changes[::2], changes[1::2]
    is_alone, behind_alone = np.zeros((2, len(code) + 1), bool)
    is_separator, is_unspaced = _kinds_of_characters()
    for lowest, above, n_more in LONGER_CHARACTERS:
        first = np.flatnonzero((code >= lowest) & (code < above))
        character = np.bitwise_and(code[first], 0x3F >> n_more, dtype=np.intp)
        for place in range(1, n_more + 1):
            character = character << 6 | code[first + place] & 0x3F
        separators, unspaced = first[is_separator[character]], first[is_unspaced[character]]
        for place in range(n_more + 1):
            is_word[separators + place] = False
        is_alone[unspaced] = behind_alone[unspaced + n_more + 1] = True
    begins = is_word & (is_alone | behind_alone)
    begins[0] |= is_word[0]
    begins[1:] |= is_word[1:] & ~is_word[:-1]
    # A word ends where the next one begins, or where no word goes on.
    ends = np.zeros_like(is_word)
    ends[1:] = is_word[:-1] & (~is_word[1:] | begins[1:])
    return np.flatnonzero(begins), np.flatnonzero(ends)


@cache
def _kinds_of_characters() -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether each character of up to three bytes stands between words, and whether it is one of its own (65536,)."""
    categories = [unicodedata.category(chr(code)) for code in range(N_CODES)]
    is_separator = np.asarray([category[0] in "PSZ" and category != "Pc" for category in categories])
    is_unspaced = np.zeros(N_CODES, bool)
    for first, last in UNSPACED_SCRIPTS:
        is_unspaced[first : last + 1] = True
    return is_separator, is_unspaced & ~is_separator


def _mix(hashes: Hashes) -> Hashes:
    """Let every bit depend on all of them (the finalizer of SplitMix64, Steele et al. 2014)."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = hashes ^ (hashes >> np.uint64(31))
    return mixed


def _capacity(size: int) -> int:
    """A power of two, so that few tables are made."""
    return max(1 << (size - 1).bit_length(), LEAST_POWERS)


@lru_cache(maxsize=4)
def _powers(base: int, count: int) -> tuple[Hashes, Hashes]:
    """The first powers of a base and of its inverse, modulo 2**64."""
    inverse = pow(base, -1, 2**64)
    factors = np.full((2, count), np.array([[base], [inverse]], np.uint64))
    factors[:, 0] = 1
    powers, inverses = np.cumprod(factors, axis=1, dtype=np.uint64)
    return powers, inverses
