"""64-bit hashes of words and runs of words, computed for whole batches of texts at once.

A hash depends only on the word in lower case, not on Python's hash seed, the machine, or other words. It is a
polynomial in the bytes of the word: prefix sums over a batch give those of all words without a loop over them.
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

# Small enough that intermediate results stay in the CPU cache.
BYTES_PER_BATCH = 130_000
MIN_POWERS = 1 << 18
# Odd, so that every power has an inverse modulo 2**64.
BYTE_BASE, WORD_BASE = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
BETWEEN_TEXTS = "\x00"

IS_WORD_BYTE = np.zeros(256, bool)
IS_WORD_BYTE[list(b"0123456789_abcdefghijklmnopqrstuvwxyz")] = True
IS_WORD_BYTE[128:] = True
# For UTF-8 characters of two and three bytes: the range of first bytes, and how many bytes follow.
MULTIBYTE_CHARACTERS = ((0xC2, 0xE0, 1), (0xE0, 0xF0, 2))
N_CODES = 0x10000


class WordHashes(NamedTuple):
    """Words of several texts: uint64 hashes (n_words,), and the int64 start of each text's words (n_texts + 1,)."""

    words: Hashes
    offsets: Offsets


def word_hashes(texts: Sequence[str]) -> Iterator[WordHashes]:
    """Yield the hashed words of the texts, a batch of texts at a time, in order.

    A word is a run of letters, digits and underscores, or a single character of a script without spaces between words.
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
    """Hash every run of ``n_words`` consecutive words of each text.

    Returns:
        uint64 hashes (n_runs,), and the int64 start of each text's runs (n_texts + 1,).
    """
    hashes, offsets = words
    n_runs = np.maximum(np.diff(offsets) - n_words + 1, 0)
    run_offsets = np.concatenate([[0], np.cumsum(n_runs)])
    starts = np.arange(run_offsets[-1]) + np.repeat(offsets[:-1] - run_offsets[:-1], n_runs)
    powers, inverses = _powers(WORD_BASE, _capacity(len(hashes) + 1))
    sums = _prefix_sums(hashes, powers)
    return _mix((sums[starts + n_words] - sums[starts]) * inverses[starts]), run_offsets


def _hash_words(texts: Sequence[str]) -> WordHashes:
    joined = BETWEEN_TEXTS.join(text.replace(BETWEEN_TEXTS, " ") for text in texts).lower()
    code = np.frombuffer(joined.encode("utf-8", "replace"), np.uint8)
    starts, ends = _word_borders(code, is_ascii=joined.isascii())
    powers, inverses = _powers(BYTE_BASE, _capacity(len(code) + 1))
    sums = _prefix_sums(code, powers)
    hashes = _mix((sums[ends] - sums[starts]) * inverses[starts])
    between = np.flatnonzero(code == 0)
    return WordHashes(hashes, np.concatenate([[0], np.searchsorted(starts, between), [len(starts)]]).astype(np.int64))


def _prefix_sums(values: npt.NDArray[np.unsignedinteger[Any]], powers: Hashes) -> Hashes:
    """Prefix sums of values times powers, starting with zero, uint64 (n_values + 1,)."""
    sums = np.zeros(len(values) + 1, np.uint64)
    np.multiply(values, powers[: len(values)], out=sums[1:], dtype=np.uint64)
    np.cumsum(sums[1:], out=sums[1:])
    return sums


def _word_borders(code: npt.NDArray[np.uint8], *, is_ascii: bool) -> tuple[Offsets, Offsets]:
    """The start and end of each word in a text, as indices into its bytes of UTF-8."""
    is_word = np.zeros(len(code) + 1, bool)
    np.take(IS_WORD_BYTE, code, out=is_word[:-1])
    if is_ascii:
        changes = np.flatnonzero(np.diff(is_word, prepend=False))
        return changes[::2], changes[1::2]
    is_single, follows_single = np.zeros((2, len(code) + 1), bool)
    is_separator, is_unspaced = _character_classes()
    for lowest, end, n_more in MULTIBYTE_CHARACTERS:
        first = np.flatnonzero((code >= lowest) & (code < end))
        character = np.bitwise_and(code[first], 0x3F >> n_more, dtype=np.intp)
        for offset in range(1, n_more + 1):
            character = character << 6 | code[first + offset] & 0x3F
        separators, unspaced = first[is_separator[character]], first[is_unspaced[character]]
        for offset in range(n_more + 1):
            is_word[separators + offset] = False
        is_single[unspaced] = follows_single[unspaced + n_more + 1] = True
    begins = is_word & (is_single | follows_single)
    begins[0] |= is_word[0]
    begins[1:] |= is_word[1:] & ~is_word[:-1]
    # A word ends where the next one begins, or before a byte outside words.
    ends = np.zeros_like(is_word)
    ends[1:] = is_word[:-1] & (~is_word[1:] | begins[1:])
    return np.flatnonzero(begins), np.flatnonzero(ends)


@cache
def _character_classes() -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether each character of up to three bytes separates words, and whether it is a word itself, bool (65536,)."""
    categories = [unicodedata.category(chr(code)) for code in range(N_CODES)]
    is_separator = np.asarray([category[0] in "PSZ" and category != "Pc" for category in categories])
    is_unspaced = np.zeros(N_CODES, bool)
    for first, last in UNSPACED_SCRIPTS:
        is_unspaced[first : last + 1] = True
    return is_separator, is_unspaced & ~is_separator


def _mix(hashes: Hashes) -> Hashes:
    """Make every bit depend on all bits (the finalizer of SplitMix64, Steele et al. 2014)."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = hashes ^ (hashes >> np.uint64(31))
    return mixed


def _capacity(size: int) -> int:
    """The next power of two, so that few tables of powers are computed."""
    return max(1 << (size - 1).bit_length(), MIN_POWERS)


@lru_cache(maxsize=4)
def _powers(base: int, count: int) -> tuple[Hashes, Hashes]:
    """The first powers of ``base`` and of its inverse modulo 2**64, uint64 (count,) each."""
    inverse = pow(base, -1, 2**64)
    factors = np.full((2, count), np.array([[base], [inverse]], np.uint64))
    factors[:, 0] = 1
    powers, inverses = np.cumprod(factors, axis=1, dtype=np.uint64)
    return powers, inverses
