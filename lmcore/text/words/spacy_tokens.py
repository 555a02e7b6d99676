"""Tokenization by spaCy's rules into arrays, several times faster than creating a spaCy document for each text."""

import re
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import spacy
from spacy import attrs
from spacy.language import Language
from spacy.pipeline import Sentencizer
from spacy.tokens import Doc

from lmcore.errors import UserError

IS_SPACE, IS_PUNCTUATION, IS_SENTENCE_END, IS_GAP = 1, 2, 4, 8
"""Flags of a token: white space, punctuation, sentence-ending mark; a gap is a space that is not a token."""

# spaCy's tokenizer takes quadratic time in the length of a run of brackets or URLs.
LONGEST_CHUNK = 1_000
CHUNK = re.compile(rf"\S{{1,{LONGEST_CHUNK}}}|\s+")
CHUNK_AND_NEXT = re.compile(rf"\S{{1,{LONGEST_CHUNK}}}(?=(\S?))")
SPACE_BETWEEN_CHUNKS = re.compile(r"\S\s+\S")
# Positions that no token crosses, in languages without spaces between words.
LINE_OR_SENTENCE_END = re.compile(r"(?<=\S)(?=\n)|(?<=[\u3002\uff01\uff1f])(?=\S)")
MIN_PART_CHARACTERS = 1_000
# The tokenizer for Japanese accepts at most 49,149 bytes.
MAX_PART_CHARACTERS = 10_000
CHUNKS_PER_DOCUMENT = 20_000
CACHED_CHUNKS = 1_000_000
RECORD = np.dtype([("length", "<i4"), ("kind", "<i4")])
GAP = np.array([(1, IS_GAP)], RECORD).tobytes()


class Tokens(NamedTuple):
    """Tokens of a text: end positions in characters, int64 (n_tokens,), and flags, int32 (n_tokens,)."""

    ends: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int32]


class SpacyTokenizer:
    """Tokenizes texts by spaCy's rules for a language.

    In most languages the rules apply to one chunk between white space at a time, and the same chunks occur many times:
    each is tokenized once, and its tokens are cached. Chunks longer than any word are cut.

    Args:
        language: a language code of spaCy.

    Raises:
        UserError: if spaCy does not support the language, or a package that it needs for it is not installed.
    """

    def __init__(self, language: str) -> None:
        self._language = language
        self._reset()

    def tokenize(self, text: str) -> Tokens:
        """The tokens of a text, which must not start with a space."""
        if not self._tokenizes_chunks:
            return self._tokenize_whole(text)
        if len(self._tokens_of) > CACHED_CHUNKS:
            self._reset()
        chunks = CHUNK.findall(text)
        self._tokenize_chunks(dict.fromkeys(chunk for chunk in chunks if chunk not in self._tokens_of))
        tokens = np.frombuffer(b"".join(map(self._tokens_of.__getitem__, chunks)), RECORD)
        is_token = tokens["kind"] != IS_GAP
        return Tokens(np.cumsum(tokens["length"], dtype=np.int64)[is_token], tokens["kind"][is_token])

    def _reset(self) -> None:
        """Clear the cache and load the pipeline again, because spaCy keeps every string that it has processed."""
        self._pipeline = load_pipeline(self._language)
        # For each new word spaCy computes two dozen attributes in Python, of which two are needed.
        vocabulary: Any = self._pipeline.vocab  # Its type stub lacks lex_attr_getters.
        getters = vocabulary.lex_attr_getters
        vocabulary.lex_attr_getters = {name: getters[name] for name in (attrs.IS_SPACE, attrs.IS_PUNCT)}
        # Tokenizers that segment text in other ways, such as that for Chinese, have no rules.
        rules = getattr(self._pipeline.tokenizer, "rules", None)
        self._has_rules = rules is not None
        self._tokenizes_chunks = rules is not None and not any(map(SPACE_BETWEEN_CHUNKS.search, rules))
        self._sentence_ends = [self._pipeline.vocab.strings.add(mark) for mark in Sentencizer.default_punct_chars]
        self._tokens_of: dict[str, bytes] = {}

    def _tokenize_whole(self, text: str) -> Tokens:
        # Tokenizers without rules are slow for long texts, or do not accept them.
        parts = parts_with_cut_chunks(text) if self._has_rules else _short_parts(text)
        documents = [self._pipeline.tokenizer(part) for part in parts]
        gaps = np.concatenate([document.to_array("SPACY") for document in documents]).astype(np.int64)
        tokens = np.concatenate([self._records(document) for document in documents])
        return Tokens(np.cumsum(tokens["length"] + gaps) - gaps, tokens["kind"])

    def _tokenize_chunks(self, chunks: dict[str, None]) -> None:
        """Add the tokens of chunks to the cache."""
        words = (chunk for chunk in chunks if not chunk.isspace())
        while batch := list(islice(words, CHUNKS_PER_DOCUMENT)):
            # No rule crosses a line end, so the tokens of a chunk on its own line depend on the chunk alone.
            tokens = self._records(self._pipeline.tokenizer("\n".join(batch)))
            line_ends = np.flatnonzero(tokens["kind"] == IS_SPACE)
            starts, ends = np.append(0, line_ends + 1), np.append(line_ends, len(tokens))
            for word, start, end in zip(batch, starts.tolist(), ends.tolist(), strict=True):
                self._tokens_of[word] = tokens[start:end].tobytes()
        for chunk in filter(str.isspace, chunks):
            # The first space after a word is not a token; any further white space is.
            gap = GAP if chunk[0] == " " else b""
            white_space = self._records(self._pipeline.tokenizer(chunk.removeprefix(" ")))
            self._tokens_of[chunk] = gap + white_space.tobytes()

    def _records(self, document: Doc) -> npt.NDArray[np.void]:
        """Length and flags of each token of a spaCy document, as an array of ``RECORD``."""
        attributes = document.to_array(["LENGTH", "IS_SPACE", "IS_PUNCT", "ORTH"])
        lengths, is_space, is_punctuation, words = attributes.T
        is_sentence_end = np.isin(words, self._sentence_ends)
        tokens = np.empty(len(lengths), RECORD)
        tokens["length"] = lengths
        tokens["kind"] = is_space * IS_SPACE + is_punctuation * IS_PUNCTUATION + is_sentence_end * IS_SENTENCE_END
        return tokens


def _short_parts(text: str) -> Iterator[str]:
    """Yield the parts of a text, which end after a line or a sentence if one ends early enough."""
    start = end = 0
    while start == 0 or end < len(text):
        limit = start + MAX_PART_CHARACTERS
        found = LINE_OR_SENTENCE_END.search(text, start + MIN_PART_CHARACTERS, limit)
        end = found.start() if found else limit
        yield text[start:end]
        start = end


def parts_with_cut_chunks(text: str) -> Iterator[str]:
    """Yield the parts of a text, which end only where a chunk that is too long is cut."""
    ends = [chunk.end() for chunk in CHUNK_AND_NEXT.finditer(text) if chunk[1]]
    yield from (text[start:end] for start, end in pairwise([0, *ends, len(text)]))


def load_pipeline(language: str) -> Language:
    """A blank spaCy pipeline with the rules of a language.

    Raises:
        UserError: if spaCy does not support the language, or a package that it needs for it is not installed.
    """
    try:
        return spacy.blank(language)
    except ImportError as error:
        raise UserError(f"spaCy cannot process the language {language!r}: {error}") from error
