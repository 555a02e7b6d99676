"""Pre-tokenization of word tokenizers: splits texts into words at white space or by spaCy's rules for a language.

A ``tokenizer.json`` can neither hold spaCy's rules nor custom metadata, yet a tokenizer must know its language when it
is loaded. The language is therefore stored as a pre-tokenizer that never matches: a split at the string
``"\\x00spacy:en"``, which occurs in no text that :func:`separate_words` returns. :func:`language_of` reads it back. A
program that does not know this convention splits texts at white space.
"""

import json
from collections.abc import Sequence

import tokenizers
from tokenizers import pre_tokenizers
from tokenizers.pre_tokenizers import PreTokenizer

from lmcore.text.words.segmentation import token_spans

LANGUAGE_PREFIX = "\x00spacy:"
"""Start of the pattern that stores the language; the NUL character keeps it from matching any text."""


def split_at_white_space() -> PreTokenizer:
    """A pre-tokenizer that splits texts at white space."""
    return pre_tokenizers.WhitespaceSplit()


def split_by_spacy(language: str) -> PreTokenizer:
    """A pre-tokenizer for texts that :func:`separate_words` has prepared, and that stores their language."""
    never_matching = pre_tokenizers.Split(f"{LANGUAGE_PREFIX}{language}", "removed")
    return pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), never_matching])


def language_of(backend: tokenizers.Tokenizer) -> str | None:
    """The language for which :func:`separate_words` must prepare a tokenizer's texts; ``None`` if it need not."""
    steps = (json.loads(backend.to_str())["pre_tokenizer"] or {}).get("pretokenizers", [])
    patterns = (step.get("pattern", {}).get("String", "") for step in steps)
    return next(
        (pattern.removeprefix(LANGUAGE_PREFIX) for pattern in patterns if pattern.startswith(LANGUAGE_PREFIX)), None
    )


def separate_words(texts: Sequence[str], language: str) -> list[str]:
    """Each text with a single space between spaCy's tokens and no other white space.

    Raises:
        UserError: if spaCy does not support the language.
    """
    # spaCy takes seconds to import, and only these tokenizers need it.
    from lmcore.text.words.analysis import analyze

    token_ends = analyze(texts, language)["token_ends"].to_pylist()
    return [_separate(text, ends) for text, ends in zip(texts, token_ends, strict=True)]


def _separate(text: str, ends: Sequence[int]) -> str:
    words = (text[start:end] for start, end in token_spans(text, ends))
    return " ".join(word for word in words if not word.isspace())
