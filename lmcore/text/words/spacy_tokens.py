"""spaCy's tokens as arrays, at several times the speed of one document object per text."""

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

IS_SPACE, IS_PUNCTUATION, IS_MARK, IS_GAP = 1, 2, 4, 8
"""What a token is: white space, punctuation, a mark that ends sentences; a gap is a space that is no token."""

# In a run of brackets or addresses, the tokenizer takes a time that grows with the square of its length.
LONGEST_CHUNK = 1_000
CHUNK = re.compile(rf"\S{{1,{LONGEST_CHUNK}}}|\s+")
CHUNK_AND_NEXT = re.compile(rf"\S{{1,{LONGEST_CHUNK}}}(?=(\S?))")
SPACE_BETWEEN_CHUNKS = re.compile(r"\S\s+\S")
# Where no token goes on, in languages that put no space between words.
LINE_OR_SENTENCE_END = re.compile(r"(?<=\S)(?=\n)|(?<=[\u3002\uff01\uff1f])(?=\S)")
CHARACTERS_PER_PIECE = 1_000
# The tokenizer for Japanese takes no more than 49,149 bytes.
LONGEST_PIECE = 10_000
CHUNKS_PER_DOCUMENT = 20_000
REMEMBERED_CHUNKS = 1_000_000
RECORD = np.dtype([("length", "<i4"), ("kind", "<i4")])
GAP = np.array([(1, IS_GAP)], RECORD).tobytes()


class Tokens(NamedTuple):
    """Tokens of a text: the position behind each, int64 (n_tokens,), and what it is, int32 (n_tokens,)."""

    ends: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int32]


class SpacyTokenizer:
    """Reads the tokens of texts by spaCy's rules for a language.

    In most languages those rules look at one chunk of text between white space at a time, and the same chunks
    come again and again: each is shown to spaCy once, alone, and its tokens are remembered. A chunk longer than any
    word is cut.

    Raises:
        ValueError: if spaCy does not know the language, or a package that it needs for it is not installed.
    """

    def __init__(self, language: str) -> None:
        self._language = language
        self._forget()

    def read(self, text: str) -> Tokens:
        """The tokens of a text, which does not begin with a space."""
        if not self._reads_chunks:
            return self._read_whole(text)
        if len(self._tokens_of) > REMEMBERED_CHUNKS:
            self._forget()
        chunks = CHUNK.findall(text)
        self._learn(dict.fromkeys(chunk for chunk in chunks if chunk not in self._tokens_of))
        tokens = np.frombuffer(b"".join(map(self._tokens_of.__getitem__, chunks)), RECORD)
        is_token = tokens["kind"] != IS_GAP
        return Tokens(np.cumsum(tokens["length"], dtype=np.int64)[is_token], tokens["kind"][is_token])

    def _forget(self) -> None:
        """Load the pipeline afresh: spaCy, too, keeps every string that it has met."""
        self._pipeline = load_pipeline(self._language)
        # Of each new word spaCy asks two dozen questions in Python; two of the answers are used here.
        vocabulary: Any = self._pipeline.vocab  # Its type stub lacks the questions.
        questions = vocabulary.lex_attr_getters
        vocabulary.lex_attr_getters = {name: questions[name] for name in (attrs.IS_SPACE, attrs.IS_PUNCT)}
        # Tokenizers that segment a language otherwise, as Chinese, have no such rules.
        rules = getattr(self._pipeline.tokenizer, "rules", None)
        self._has_rules = rules is not None
        self._reads_chunks = rules is not None and not any(map(SPACE_BETWEEN_CHUNKS.search, rules))
        self._marks = [self._pipeline.vocab.strings.add(mark) for mark in Sentencizer.default_punct_chars]
        self._tokens_of: dict[str, bytes] = {}

    def _read_whole(self, text: str) -> Tokens:
        # Tokenizers without rules copy what is left of a text for each token, or take no long text at all.
        pieces = pieces_between_chunks(text) if self._has_rules else _pieces(text)
        documents = [self._pipeline.tokenizer(piece) for piece in pieces]
        gaps = np.concatenate([document.to_array("SPACY") for document in documents]).astype(np.int64)
        tokens = np.concatenate([self._describe(document) for document in documents])
        return Tokens(np.cumsum(tokens["length"] + gaps) - gaps, tokens["kind"])

    def _learn(self, chunks: dict[str, None]) -> None:
        words = (chunk for chunk in chunks if not chunk.isspace())
        while some := list(islice(words, CHUNKS_PER_DOCUMENT)):
            # Between line ends no rule sees the neighbors: a chunk's tokens depend on the chunk alone.
            tokens = self._describe(self._pipeline.tokenizer("\n".join(some)))
            line_ends = np.flatnonzero(tokens["kind"] == IS_SPACE)
            starts, ends = np.append(0, line_ends + 1), np.append(line_ends, len(tokens))
            for word, start, end in zip(some, starts.tolist(), ends.tolist(), strict=True):
                self._tokens_of[word] = tokens[start:end].tobytes()
        for chunk in filter(str.isspace, chunks):
            # A space behind a word is no token; the white space behind that is one.
            gap = GAP if chunk[0] == " " else b""
            white_space = self._describe(self._pipeline.tokenizer(chunk.removeprefix(" ")))
            self._tokens_of[chunk] = gap + white_space.tobytes()

    def _describe(self, document: Doc) -> npt.NDArray[np.void]:
        attributes = document.to_array(["LENGTH", "IS_SPACE", "IS_PUNCT", "ORTH"])
        lengths, is_space, is_punctuation, words = attributes.T
        is_mark = np.isin(words, self._marks)
        tokens = np.empty(len(lengths), RECORD)
        tokens["length"] = lengths
        tokens["kind"] = is_space * IS_SPACE + is_punctuation * IS_PUNCTUATION + is_mark * IS_MARK
        return tokens


def _pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces that end with a line or a sentence, if one ends early enough."""
    start = end = 0
    while start == 0 or end < len(text):
        longest = start + LONGEST_PIECE
        found = LINE_OR_SENTENCE_END.search(text, start + CHARACTERS_PER_PIECE, longest)
        end = found.start() if found else longest
        yield text[start:end]
        start = end


def pieces_between_chunks(text: str) -> Iterator[str]:
    """Yield a text in pieces that end where a chunk is cut, and only there."""
    ends = [chunk.end() for chunk in CHUNK_AND_NEXT.finditer(text) if chunk[1]]
    yield from (text[start:end] for start, end in pairwise([0, *ends, len(text)]))


def load_pipeline(language: str) -> Language:
    """spaCy's rules for a language, without a trained model.

    Raises:
        ValueError: if spaCy does not know the language, or a package that it needs for it is not installed.
    """
    try:
        return spacy.blank(language)
    except ImportError as error:
        raise UserError(f"spaCy cannot read the language {language!r} (clean.language): {error}") from error
