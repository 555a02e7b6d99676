"""Words as spaCy divides a text into them, for tokenizers whose tokens are words.

A ``tokenizer.json`` cannot hold spaCy's rules, but it can say whose they are: its pre-tokenizer has a step that never
applies, and whose pattern names the language. Whoever reads the file without this project gets words between white
space.
"""

import json
from collections.abc import Sequence

import tokenizers
from tokenizers import pre_tokenizers
from tokenizers.pre_tokenizers import PreTokenizer

from lmcore.text.words.segmentation import token_spans

MARK = "\x00spacy:"


def by_white_space() -> PreTokenizer:
    """Words are what white space separates."""
    return pre_tokenizers.WhitespaceSplit()


def by_spacy(language: str) -> PreTokenizer:
    """Words are what white space separates in a text that :func:`separate_words` has prepared."""
    mark = pre_tokenizers.Split(f"{MARK}{language}", "removed")
    return pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), mark])


def language_of(backend: tokenizers.Tokenizer) -> str | None:
    """The language by whose rules texts have to be prepared for a tokenizer, if they have to."""
    steps = (json.loads(backend.to_str())["pre_tokenizer"] or {}).get("pretokenizers", [])
    patterns = (step.get("pattern", {}).get("String", "") for step in steps)
    return next((pattern.removeprefix(MARK) for pattern in patterns if pattern.startswith(MARK)), None)


def separate_words(texts: Sequence[str], language: str) -> list[str]:
    """Each text with one space between any two of spaCy's tokens, and no other white space.

    Raises:
        ValueError: if spaCy does not know the language.
    """
    # It takes seconds to import, and only such a tokenizer needs it.
    from lmcore.text.words.analysis import analyze

    ends = analyze(texts, language)["token_ends"].to_pylist()
    return [_separate(text, some) for text, some in zip(texts, ends, strict=True)]


def _separate(text: str, ends: Sequence[int]) -> str:
    words = (text[start:end] for start, end in token_spans(text, ends))
    return " ".join(word for word in words if not word.isspace())
