"""Splits texts of any script into words by their characters alone, without the rules of a language."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

UNSPACED_SCRIPTS = (
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # iteration marks and the like among Chinese characters
    (0x3040, 0x30FF),  # Japanese syllables
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Chinese characters, also below
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3134F),
)
"""First and last characters of scripts without spaces between words: each character counts as a word."""
HANGUL = (0xAC00, 0xD7A3)
"""Korean syllables: words are separated by spaces, but a syllable has about three letters."""
LETTERS_PER_CHARACTER = 3
"""A Chinese character carries about as much information as this many letters, and has as many bytes of UTF-8."""


def _spaced_marks() -> str:
    """A regular expression class of combining accents and vowel signs, in scripts with spaces between words.

    ``\\w`` does not match them, although words continue after them; Arabic, Hebrew and Hindi have many.
    """
    marks = [
        code
        for code in range(0x300, 0xFE30)
        if unicodedata.category(chr(code)) in ("Mn", "Mc")
        and not any(first <= code <= last for first, last in UNSPACED_SCRIPTS)
    ]
    starts = [marks[0], *(code for before, code in pairwise(marks) if code != before + 1)]
    ends = [*(before for before, code in pairwise(marks) if code != before + 1), marks[-1]]
    return "".join(rf"\U{start:08x}-\U{end:08x}" for start, end in zip(starts, ends, strict=True))


UNSPACED = "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in UNSPACED_SCRIPTS)
"""The characters of scripts without spaces, for a regular expression class."""
MARKS = _spaced_marks()
LETTER_OF_WORD = rf"[^\W{UNSPACED}]"
r"""``\w`` without characters of unspaced scripts, which end a word even without a space."""
WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")
WORD_OR_CHARACTER = re.compile(rf"[{UNSPACED}]|{LETTER_OF_WORD}+(?:[{MARKS}]+{LETTER_OF_WORD}*)*")
UNSPACED_RUN = re.compile(rf"[{UNSPACED}]+")
DENSE_RUN = re.compile(rf"[{UNSPACED}\U{HANGUL[0]:08x}-\U{HANGUL[1]:08x}]+")


def words_of(text: str) -> list[str]:
    """Split a text at white space; each character of a script without spaces between words is a word."""
    return text.split() if text.isascii() else WORD.findall(text)


def bare_words_of(text: str) -> list[str]:
    """The words of a text without surrounding punctuation."""
    return WORD_OR_CHARACTER.findall(text)


def shortened(text: str, n_characters: int) -> str:
    """The first characters of a text, followed by an ellipsis if it is longer."""
    return text if len(text) <= n_characters else f"{text[:n_characters].rstrip()} …"


def count_unspaced(text: str) -> int:
    """Number of characters of scripts without spaces between words."""
    return 0 if text.isascii() else len(text) - len(UNSPACED_RUN.sub("", text))


def length_in_letters(text: str) -> int:
    """The length of a text in letters: a Chinese character or a Korean syllable counts as three."""
    if text.isascii():
        return len(text)
    return len(text) + (LETTERS_PER_CHARACTER - 1) * (len(text) - len(DENSE_RUN.sub("", text)))


def token_spans(text: str, token_ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the start and end of every token of a text from the stored token ends.

    A token starts at the end of the previous one, or after the single space that follows it. A run of several spaces
    contains tokens of its own, as in spaCy; in Thai a single space is a token, too.
    """
    last = 0
    for end in token_ends:
        follows_space = last > 0 and text[last] == " " and end > last + 1
        yield last + follows_space, end
        last = end
