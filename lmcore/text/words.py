"""Words of any script, told by their characters alone: quickly, and without a language's own rules."""

import re

UNSPACED_SCRIPTS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # signs among Chinese characters
    (0x3040, 0x30FF),  # Japanese syllables, and small ones
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Chinese characters, here and below
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3134F),
)
"""First and last characters of scripts that put no space between words: each of them counts as one."""

UNSPACED = "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in UNSPACED_SCRIPTS)
"""All of them, for a character class of a regular expression."""
LETTER_OF_WORD = rf"[^\W{UNSPACED}]"
r"""``\w`` without them: a word ends where such a character follows, space or not."""
WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")
WORD_OR_CHARACTER = re.compile(rf"[{UNSPACED}]|{LETTER_OF_WORD}+")
UNSPACED_RUN = re.compile(rf"[{UNSPACED}]+")


def words_of(text: str) -> list[str]:
    """What white space separates; a character of a script without spaces between words is a word of its own."""
    return text.split() if text.isascii() else WORD.findall(text)


def bare_words_of(text: str) -> list[str]:
    """The words of a text without the punctuation around them."""
    return WORD_OR_CHARACTER.findall(text)


def count_unspaced(text: str) -> int:
    """How many characters are of scripts without spaces between words."""
    return 0 if text.isascii() else len(text) - len(UNSPACED_RUN.sub("", text))
