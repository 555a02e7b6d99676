"""Token ids of whole corpora: a word that comes again and again is encoded once."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise

import numpy as np
import numpy.typing as npt

from lmcore.errors import UserError
from lmcore.tokens.corpus.report import dtype_of
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

# The white space of Unicode, which is not quite that of Python.
WHITE_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
UNIT = re.compile(f"[{WHITE_SPACE}]*[^{WHITE_SPACE}]+|[{WHITE_SPACE}]+")
WORD_BEHIND_SPACE = re.compile(f"[{WHITE_SPACE}]+[^{WHITE_SPACE}]+")
REMEMBERED_UNITS = 500_000
UNITS_PER_TEXT = 1_000


class CorpusEncoder:
    """Encodes texts, and remembers what their parts were encoded as, where the tokenizer allows it.

    No token of byte pairs in the manner of GPT-2 reaches across the end of a word: a word with the white space before
    it is encoded the same wherever it stands.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._dtype = dtype_of(tokenizer.vocabulary)
        self._token_bytes = tokenizer.bytes_of_tokens() if tokenizer.keeps_tokens_within_words else None
        self._known: dict[str, bytes] = {}

    def encode(self, texts: Sequence[str]) -> list[bytes]:
        """The token ids of each text, as bytes in the format of shards."""
        if self._token_bytes is None:
            return [self._as_bytes(ids) for ids in self._tokenizer.encode_batch(texts)]
        if len(self._known) > REMEMBERED_UNITS:
            self._known.clear()
        texts_in_units = [UNIT.findall(text) for text in texts]
        new = dict.fromkeys(unit for units in texts_in_units for unit in units if unit not in self._known)
        words = [unit for unit in new if WORD_BEHIND_SPACE.fullmatch(unit)]
        self._known |= self._encode_words(words, self._token_bytes)
        alone = [unit for unit in new if unit not in self._known]
        self._known |= zip(alone, map(self._as_bytes, self._tokenizer.encode_batch(alone)), strict=True)
        return [b"".join(map(self._known.__getitem__, units)) for units in texts_in_units]

    def _encode_words(self, words: Sequence[str], token_bytes: npt.NDArray[np.int64]) -> Iterator[tuple[str, bytes]]:
        """Words as one text, many at a time, and what each of them is encoded as."""
        portions = list(_portions(words))
        encoded = self._tokenizer.encode_batch(["".join(portion) for portion in portions])
        for portion, ids in zip(portions, encoded, strict=True):
            ends_of_words = np.cumsum([len(word.encode()) for word in portion])
            ends_of_tokens = np.cumsum(token_bytes[ids])
            places = np.searchsorted(ends_of_tokens, ends_of_words)
            if ends_of_tokens[-1:].tolist() != ends_of_words[-1:].tolist():
                raise UserError("the tokenizer drops characters: choose one with tokens for all 256 bytes")
            if not np.array_equal(ends_of_tokens[places], ends_of_words):
                raise AssertionError("a token reaches across the end of a word")
            tokens = np.array(ids, self._dtype)
            for word, (start, end) in zip(portion, pairwise([0, *(places + 1).tolist()]), strict=True):
                yield word, tokens[start:end].tobytes()

    def _as_bytes(self, ids: Sequence[int]) -> bytes:
        return np.array(ids, self._dtype).tobytes()


def _portions(words: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(words)
    while portion := list(islice(remaining, UNITS_PER_TEXT)):
        yield portion
