"""Tokens and sentences by spaCy's rules, kept as positions in the text: four bytes per token."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lmcore.text.documents.document import ANALYSIS_SCHEMA
from lmcore.text.words.spacy_tokens import IS_MARK, IS_PUNCTUATION, IS_SPACE, SpacyTokenizer, Tokens

CHARACTERS_PER_BATCH = 500_000
BEFORE_TEXT = "\n\n"
BLANK_LINE = re.compile(r"\n\s*\n\s*")

Numbers = npt.NDArray[np.int64]


def analyze(texts: Sequence[str], language: str) -> pa.Table:
    """Tokens, sentences and words of each text, as columns of :data:`ANALYSIS_SCHEMA`.

    ``token_ends`` and ``sentence_ends`` are positions behind tokens and sentences, in characters from the start of
    the text (``token_spans`` gives the tokens); ``n_words`` counts the tokens that are neither punctuation
    nor white space. White space at the end of a text belongs to no token.

    A sentence ends, as with spaCy's ``sentencizer``, behind a mark that ends one and all punctuation that follows
    the mark; and before a blank line.

    Raises:
        ValueError: if spaCy does not know the language, or a package that it needs for it is not installed.
    """
    reader = spacy_tokenizer(language)
    analyses = (_analyze(batch, reader) for batch in _batches([text.rstrip() for text in texts]))
    return pa.concat_tables([ANALYSIS_SCHEMA.empty_table(), *analyses])


@lru_cache(maxsize=2)
def spacy_tokenizer(language: str) -> SpacyTokenizer:
    """Stays for the next texts: it costs seconds to load, and remembers what it has read."""
    return SpacyTokenizer(language)


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    n_characters = 0
    for text in texts:
        if batch and n_characters + len(text) > CHARACTERS_PER_BATCH:
            yield batch
            batch, n_characters = [], 0
        batch.append(text)
        n_characters += len(text)
    if batch:
        yield batch


def _analyze(texts: list[str], reader: SpacyTokenizer) -> pa.Table:
    """Analyze the texts as one, with a blank line before each that no token of theirs reaches across."""
    joined = "".join(BEFORE_TEXT + text for text in texts)
    text_ends = np.cumsum([len(BEFORE_TEXT) + len(text) for text in texts])
    text_starts = text_ends - [len(text) for text in texts]
    tokens = reader.read(joined)
    owners = np.searchsorted(text_ends, tokens.ends)
    is_inside = tokens.ends > text_starts[owners]
    tokens, owners = Tokens(tokens.ends[is_inside], tokens.kinds[is_inside]), owners[is_inside]
    first_tokens = np.flatnonzero(np.diff(owners, prepend=-1))
    starts = _sentence_starts(joined, tokens, first_tokens)
    last_tokens = np.append(starts[1:], len(owners))[: len(starts)] - 1
    is_word = tokens.kinds & (IS_SPACE | IS_PUNCTUATION) == 0
    nothing = {name: pa.nulls(len(texts), ANALYSIS_SCHEMA.field(name).type) for name in ("tags", "lemmas", "entities")}
    columns = nothing | {
        "n_words": pa.array(np.bincount(owners[is_word], minlength=len(texts)), pa.int32()),
        "token_ends": _positions(tokens.ends, owners, text_starts),
        "sentence_ends": _positions(tokens.ends[last_tokens], owners[last_tokens], text_starts),
    }
    return pa.table([columns[name] for name in ANALYSIS_SCHEMA.names], schema=ANALYSIS_SCHEMA)


def _sentence_starts(text: str, tokens: Tokens, first_tokens: Numbers) -> Numbers:
    """Numbers of the tokens that begin a sentence, given those that begin a text.

    White space belongs to the sentence before it, at the start of a text to the sentence behind it.
    """
    paragraphs = [match.end() for match in BLANK_LINE.finditer(text)]
    behind_blank_lines = np.searchsorted(tokens.ends, paragraphs, side="right")
    breaks = np.union1d(first_tokens, behind_blank_lines[behind_blank_lines < len(tokens.ends)])
    ordinary = np.flatnonzero(tokens.kinds & (IS_MARK | IS_PUNCTUATION) == 0)
    n_marks = np.cumsum(np.append(0, tokens.kinds & IS_MARK != 0))
    latest_breaks = breaks[np.searchsorted(breaks, ordinary, side="right") - 1]
    since = np.maximum(np.append(0, ordinary[:-1]), latest_breaks)
    behind_marks = ordinary[n_marks[ordinary] > n_marks[since]]
    words = np.flatnonzero(tokens.kinds & IS_SPACE == 0)

    def next_words(numbers: Numbers) -> Numbers:
        places = np.searchsorted(words, numbers)
        return words[places[places < len(words)]]

    starts = next_words(np.union1d(behind_marks, breaks))
    return np.union1d(np.setdiff1d(starts, next_words(first_tokens)), first_tokens)


def _positions(ends: Numbers, owners: Numbers, text_starts: Numbers) -> pa.ListArray:
    """Positions in the joined texts as lists of positions in each."""
    offsets = np.searchsorted(owners, np.arange(len(text_starts) + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(ends - text_starts[owners], pa.int32()))
