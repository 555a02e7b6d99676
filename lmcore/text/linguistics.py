"""Tokens and sentences by spaCy, kept as positions in the text: four bytes per token."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import spacy
from spacy.attrs import IS_PUNCT, IS_SPACE, LENGTH, SENT_START, SPACY
from spacy.language import Language

PIECE_CHARACTERS = 100_000
DOCUMENTS_PER_ZONE = 500
BLANK_LINE = re.compile(r"\n\s*\n\s*")
NO_POSITIONS = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Analysis:
    """Where the tokens and sentences of a text end.

    Attributes:
        token_ends: int32 (n_tokens,), character positions behind each token; see :func:`token_spans`.
        sentence_ends: int32 (n_sentences,), character positions behind each sentence.
        n_words: tokens that are neither punctuation nor white space.
    """

    token_ends: np.ndarray
    sentence_ends: np.ndarray
    n_words: int


def analyze(texts: Sequence[str], language: str) -> list[Analysis]:
    """Tokens and sentences of each text by spaCy's rules for a language."""
    pipeline = load_pipeline(language)
    results: list[Analysis] = []
    for start in range(0, len(texts), DOCUMENTS_PER_ZONE):
        # The zone frees the strings that spaCy would otherwise keep for ever; no Doc may outlive it.
        with pipeline.memory_zone():
            results.extend(_analyze(text, pipeline) for text in texts[start : start + DOCUMENTS_PER_ZONE])
    return results


@lru_cache(maxsize=1)
def load_pipeline(language: str) -> Language:
    """spaCy's tokenizer for a language and its rules for the ends of sentences.

    Raises:
        ValueError: if spaCy does not know the language or a package that the language needs is not installed.
    """
    try:
        pipeline = spacy.blank(language)
    except ImportError as error:
        raise ValueError(
            f"spaCy cannot tokenize the language {language!r} (clean.language): {error}"
        ) from error
    pipeline.add_pipe("sentencizer")
    pipeline.max_length = sys.maxsize  # Pieces are short; only a run of white space can make one longer.
    return pipeline


def token_spans(text: str, token_ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield start and end of every token: it begins where the last one ended, behind one space if there is one.

    A run of several spaces holds tokens of its own, as in spaCy.
    """
    start = 0
    for end in token_ends:
        yield start, end
        start = end + (text[end : end + 1] == " ")


def _analyze(text: str, pipeline: Language) -> Analysis:
    token_ends, sentence_ends, n_words, offset = [NO_POSITIONS], [NO_POSITIONS], 0, 0
    for piece in pieces(text, PIECE_CHARACTERS):
        tokens = pipeline(piece).to_array([LENGTH, SPACY, SENT_START, IS_SPACE, IS_PUNCT]).T
        ends = np.cumsum(tokens[0] + tokens[1]) - tokens[1]
        starts = _sentence_starts(piece, ends - tokens[0], tokens[2] == 1, tokens[3] == 1)
        token_ends.append(ends.astype(np.int32) + offset)
        sentence_ends.append(ends[np.append(starts[1:], len(ends)) - 1].astype(np.int32) + offset)
        n_words += int(((tokens[3] == 0) & (tokens[4] == 0)).sum())
        offset += len(piece)
    return Analysis(np.concatenate(token_ends), np.concatenate(sentence_ends), n_words)


def _sentence_starts(
    text: str, token_starts: np.ndarray, begins: np.ndarray, is_space: np.ndarray
) -> np.ndarray:
    """Numbers of the tokens that begin a sentence: those spaCy says, and those behind a blank line.

    White space belongs to the sentence before it.
    """
    paragraphs = [match.end() for match in BLANK_LINE.finditer(text)]
    candidates = np.union1d(np.flatnonzero(begins), np.searchsorted(token_starts, paragraphs))
    words = np.flatnonzero(~is_space)
    following = np.searchsorted(words, candidates)
    starts = words[following[following < len(words)]]
    return np.unique(np.append(starts[1:], 0))


def pieces(text: str, length: int) -> Iterator[str]:
    """Divide a text into pieces of about ``length`` characters, if possible behind a blank line, a line or a word."""
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
