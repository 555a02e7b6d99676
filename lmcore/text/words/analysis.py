"""Tokens and sentences by spaCy's rules, stored as positions in the text: four bytes per token."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lmcore.text.documents.document import ANALYSIS_SCHEMA
from lmcore.text.words.spacy_tokens import IS_PUNCTUATION, IS_SENTENCE_END, IS_SPACE, SpacyTokenizer, Tokens

CHARACTERS_PER_BATCH = 500_000
BEFORE_TEXT = "\n\n"
BLANK_LINE = re.compile(r"\n\s*\n\s*")

Numbers = npt.NDArray[np.int64]


def analyze(texts: Sequence[str], language: str) -> pa.Table:
    """Find the tokens, sentences and words of each text.

    A sentence ends after a sentence-ending mark and the punctuation that follows it, as with spaCy's ``sentencizer``,
    and before a blank line. White space at the end of a text belongs to no token.

    Args:
        texts: the texts.
        language: language code whose rules spaCy applies.

    Returns:
        A table of :data:`ANALYSIS_SCHEMA`: ``token_ends`` and ``sentence_ends`` are end positions in characters
        (:func:`lmcore.text.words.segmentation.token_spans` returns the tokens), ``n_words`` counts the tokens that are
        neither punctuation nor white space.

    Raises:
        UserError: if spaCy does not support the language, or a package that it needs for it is not installed.
    """
    tokenizer = spacy_tokenizer(language)
    analyses = (_analyze(batch, tokenizer) for batch in _batches([text.rstrip() for text in texts]))
    return pa.concat_tables([ANALYSIS_SCHEMA.empty_table(), *analyses])


@lru_cache(maxsize=2)
def spacy_tokenizer(language: str) -> SpacyTokenizer:
    """The tokenizer of a language; cached, because it takes seconds to load and has a cache of its own."""
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


def _analyze(texts: list[str], tokenizer: SpacyTokenizer) -> pa.Table:
    """Analyze the texts as one, with a blank line before each, which no token crosses."""
    joined = "".join(BEFORE_TEXT + text for text in texts)
    text_ends = np.cumsum([len(BEFORE_TEXT) + len(text) for text in texts])
    text_starts = text_ends - [len(text) for text in texts]
    tokens = tokenizer.tokenize(joined)
    owners = np.searchsorted(text_ends, tokens.ends)
    is_inside = tokens.ends > text_starts[owners]
    tokens, owners = Tokens(tokens.ends[is_inside], tokens.kinds[is_inside]), owners[is_inside]
    first_tokens = np.flatnonzero(np.diff(owners, prepend=-1))
    starts = _sentence_starts(joined, tokens, first_tokens)
    last_tokens = np.append(starts[1:], len(owners))[: len(starts)] - 1
    is_word = tokens.kinds & (IS_SPACE | IS_PUNCTUATION) == 0
    no_annotations = {
        name: pa.nulls(len(texts), ANALYSIS_SCHEMA.field(name).type) for name in ("tags", "lemmas", "entities")
    }
    columns = no_annotations | {
        "n_words": pa.array(np.bincount(owners[is_word], minlength=len(texts)), pa.int32()),
        "token_ends": _positions(tokens.ends, owners, text_starts),
        "sentence_ends": _positions(tokens.ends[last_tokens], owners[last_tokens], text_starts),
    }
    return pa.table([columns[name] for name in ANALYSIS_SCHEMA.names], schema=ANALYSIS_SCHEMA)


def _sentence_starts(text: str, tokens: Tokens, first_tokens: Numbers) -> Numbers:
    """Indices of the tokens that begin a sentence, given those that begin a text.

    White space belongs to the sentence before it; at the start of a text, to the sentence after it.
    """
    paragraphs = [match.end() for match in BLANK_LINE.finditer(text)]
    after_blank_lines = np.searchsorted(tokens.ends, paragraphs, side="right")
    breaks = np.union1d(first_tokens, after_blank_lines[after_blank_lines < len(tokens.ends)])
    ordinary = np.flatnonzero(tokens.kinds & (IS_SENTENCE_END | IS_PUNCTUATION) == 0)
    n_marks = np.cumsum(np.append(0, tokens.kinds & IS_SENTENCE_END != 0))
    latest_breaks = breaks[np.searchsorted(breaks, ordinary, side="right") - 1]
    since = np.maximum(np.append(0, ordinary[:-1]), latest_breaks)
    after_marks = ordinary[n_marks[ordinary] > n_marks[since]]
    words = np.flatnonzero(tokens.kinds & IS_SPACE == 0)

    def next_words(indices: Numbers) -> Numbers:
        found = np.searchsorted(words, indices)
        return words[found[found < len(words)]]

    starts = next_words(np.union1d(after_marks, breaks))
    return np.union1d(np.setdiff1d(starts, next_words(first_tokens)), first_tokens)


def _positions(ends: Numbers, owners: Numbers, text_starts: Numbers) -> pa.ListArray:
    """Positions in the joined texts as a list of positions for each text."""
    offsets = np.searchsorted(owners, np.arange(len(text_starts) + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(ends - text_starts[owners], pa.int32()))
