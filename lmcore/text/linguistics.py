"""Tokens and sentences by spaCy, kept as positions in the text: four bytes per token."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import spacy
from spacy.language import Language

PIECE_CHARACTERS = 100_000
CHARACTERS_PER_PIPELINE = 50_000_000
CACHED_CHUNKS = 1_000_000
BLANK_LINE = re.compile(r"\n\s*\n\s*")

Positions = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Analysis:
    """Where the tokens and sentences of a text end.

    Attributes:
        token_ends: int32 (n_tokens,), character positions behind each token; see :func:`token_spans`.
        sentence_ends: int32 (n_sentences,), character positions behind each sentence.
        n_words: tokens that are neither punctuation nor white space.
    """

    token_ends: Positions
    sentence_ends: Positions
    n_words: int


class Analyzer:
    """Finds tokens and sentences by spaCy's rules for a language.

    spaCy keeps every string it meets. Its memory zones would free them, but switch off the cache that makes its
    tokenizer twice as fast: here the whole pipeline is replaced now and then instead.

    Raises:
        ValueError: if spaCy does not know the language or misses a package for it.
    """

    def __init__(self, language: str) -> None:
        self._language = language
        self._pipeline = load_pipeline(language)
        self._n_characters = 0

    def analyze(self, text: str) -> Analysis:
        """Tokens and sentences of a text of any length."""
        self._n_characters += len(text)
        if self._n_characters > CHARACTERS_PER_PIPELINE:
            self._pipeline, self._n_characters = load_pipeline(self._language), len(text)
        token_ends, sentence_ends, n_words, offset = [NO_POSITIONS], [NO_POSITIONS], 0, 0
        for piece in pieces(text, PIECE_CHARACTERS):
            analysis = _analyze(piece, self._pipeline)
            token_ends.append(analysis.token_ends + np.int32(offset))
            sentence_ends.append(analysis.sentence_ends + np.int32(offset))
            n_words += analysis.n_words
            offset += len(piece)
        return Analysis(np.concatenate(token_ends), np.concatenate(sentence_ends), n_words)


NO_POSITIONS: Positions = np.empty(0, np.int32)


def analyze(texts: Sequence[str], language: str) -> list[Analysis]:
    """Tokens and sentences of each text; the pipeline stays loaded for the next call.

    Raises:
        ValueError: if spaCy does not know the language or misses a package for it.
    """
    analyzer = _analyzer(language)
    return [analyzer.analyze(text) for text in texts]


def load_pipeline(language: str) -> Language:
    """spaCy's tokenizer for a language, and its rules for the ends of sentences.

    Raises:
        ValueError: if spaCy does not know the language or misses a package for it.
    """
    try:
        pipeline = spacy.blank(language)
    except ImportError as error:
        raise ValueError(f"spaCy cannot read the language {language!r} (clean.language): {error}") from error
    pipeline.add_pipe("sentencizer")
    pipeline.max_length = sys.maxsize  # Pieces are short; only a run of white space can make one longer.
    if hasattr(pipeline.tokenizer, "max_cache_size"):
        pipeline.tokenizer.max_cache_size = CACHED_CHUNKS
    return pipeline


def token_spans(text: str, token_ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield start and end of every token: from the end of the last one, or behind the space that stands there.

    A run of several spaces holds tokens of its own, as in spaCy.
    """
    start = 0
    for end in token_ends:
        yield start, end
        start = end + (text[end : end + 1] == " ")


def pieces(text: str, length: int) -> Iterator[str]:
    """Divide a text into pieces of about ``length`` characters, behind a blank line, a line or a word."""
    start = 0
    while len(text) - start > length:
        cuts = (text.rfind(separator, start + 1, start + length) for separator in ("\n\n", "\n", " "))
        end = next((cut for cut in cuts if cut > 0), start + length)
        while end < len(text) and text[end].isspace():
            end += 1
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


@lru_cache(maxsize=1)
def _analyzer(language: str) -> Analyzer:
    return Analyzer(language)


def _analyze(text: str, pipeline: Language) -> Analysis:
    attributes = pipeline(text).to_array(["LENGTH", "SPACY", "SENT_START", "IS_SPACE", "IS_PUNCT"])
    lengths, spaces, begins, is_space, is_punctuation = attributes.astype(np.int64).T
    ends = np.cumsum(lengths + spaces) - spaces
    starts = _sentence_starts(text, ends - lengths, begins == 1, is_space == 1)
    last_tokens = np.append(starts[1:], len(ends)) - 1
    n_words = np.count_nonzero((is_space == 0) & (is_punctuation == 0))
    return Analysis(ends.astype(np.int32), ends[last_tokens].astype(np.int32), int(n_words))


def _sentence_starts(
    text: str, token_starts: npt.NDArray[Any], begins: npt.NDArray[Any], is_space: npt.NDArray[Any]
) -> npt.NDArray[np.int64]:
    """Numbers of the tokens that begin a sentence: those spaCy says, and those behind a blank line.

    White space belongs to the sentence before it.
    """
    paragraphs = [match.end() for match in BLANK_LINE.finditer(text)]
    candidates = np.union1d(np.flatnonzero(begins), np.searchsorted(token_starts, paragraphs))
    words = np.flatnonzero(~is_space)
    following = np.searchsorted(words, candidates)
    starts = words[following[following < len(words)]]
    return np.union1d(starts[1:], [0])
