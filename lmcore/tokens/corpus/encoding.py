"""Encodes whole corpora quickly by encoding every word only once."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lmcore.errors import UserError
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

# The white space of Unicode, which differs slightly from that of Python.
WHITE_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
UNIT = re.compile(f"[{WHITE_SPACE}]*[^{WHITE_SPACE}]+|[{WHITE_SPACE}]+")
WORD_AFTER_SPACE = re.compile(f"[{WHITE_SPACE}]+[^{WHITE_SPACE}]+")
CACHED_UNITS = 500_000
UNITS_PER_TEXT = 1_000


def token_dtype(vocabulary: Vocabulary) -> np.dtype[np.unsignedinteger[Any]]:
    """The smallest unsigned integer type that holds every token id: uint16 or uint32, little-endian."""
    return np.dtype("<u2" if vocabulary.size <= 2**16 else "<u4")


class CorpusEncoder:
    """Encodes texts, and caches the tokens of their words if the tokenizer allows it.

    With byte pairs as in GPT-2, no token extends beyond the end of a word, so a word with the white space before it has
    the same tokens everywhere. Other tokenizers encode whole texts.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._dtype = token_dtype(tokenizer.vocabulary)
        self._token_bytes = tokenizer.bytes_of_tokens() if tokenizer.keeps_tokens_within_words else None
        self._known: dict[str, bytes] = {}

    def encode(self, texts: Sequence[str]) -> list[bytes]:
        """The token ids of each text, as the bytes of an array of :func:`token_dtype`."""
        if self._token_bytes is None:
            return [self._as_bytes(ids) for ids in self._tokenizer.encode_batch(texts)]
        if len(self._known) > CACHED_UNITS:
            self._known.clear()
        texts_in_units = [UNIT.findall(text) for text in texts]
        new = dict.fromkeys(unit for units in texts_in_units for unit in units if unit not in self._known)
        words = [unit for unit in new if WORD_AFTER_SPACE.fullmatch(unit)]
        self._known |= self._encode_words(words, self._token_bytes)
        others = [unit for unit in new if unit not in self._known]
        self._known |= zip(others, map(self._as_bytes, self._tokenizer.encode_batch(others)), strict=True)
        return [b"".join(map(self._known.__getitem__, units)) for units in texts_in_units]

    def _encode_words(self, words: Sequence[str], token_bytes: npt.NDArray[np.int64]) -> Iterator[tuple[str, bytes]]:
        """Yield each word with its token ids as bytes; many words are encoded as one text, which is faster."""
        groups = list(_groups(words))
        encoded = self._tokenizer.encode_batch(["".join(group) for group in groups])
        for group, ids in zip(groups, encoded, strict=True):
            word_ends = np.cumsum([len(word.encode()) for word in group])
            token_ends = np.cumsum(token_bytes[ids])
            last_tokens = np.searchsorted(token_ends, word_ends)
            if token_ends[-1:].tolist() != word_ends[-1:].tolist():
                raise UserError("the tokenizer drops characters: choose one with tokens for all 256 bytes")
            if not np.array_equal(token_ends[last_tokens], word_ends):
                raise AssertionError("a token extends beyond the end of a word")
            tokens = np.array(ids, self._dtype)
            for word, (start, end) in zip(group, pairwise([0, *(last_tokens + 1).tolist()]), strict=True):
                yield word, tokens[start:end].tobytes()

    def _as_bytes(self, ids: Sequence[int]) -> bytes:
        return np.array(ids, self._dtype).tobytes()


def _groups(words: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(words)
    while group := list(islice(remaining, UNITS_PER_TEXT)):
        yield group
