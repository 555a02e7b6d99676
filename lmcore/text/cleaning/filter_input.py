"""A text and the properties that rules use, each computed once."""

import re
from collections import Counter

from lmcore.text.cleaning.reasons import Reason
from lmcore.text.words.segmentation import LETTER_OF_WORD, count_unspaced, length_in_letters, words_of

LETTERS_PER_WORD = 6
"""With the space behind it: so long are words, and by that scripts are compared that separate them otherwise."""
LETTER, LETTER_OR_DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"[^\W_]")
SPACED_LETTER = re.compile(LETTER_OF_WORD)


class Text:
    """A normalized text with properties that several rules use.

    Attributes:
        text: as it is.
        language: as its code.
        words: see :func:`lmcore.text.words.segmentation.words_of`.
        n_characters: how many are not white space.
    """

    __slots__ = ("_counts", "_lines", "language", "n_characters", "text", "words")

    def __init__(self, text: str, language: str) -> None:
        self.text = text
        self.language = language
        self.words = words_of(text)
        self.n_characters = len("".join(self.words))
        self._counts: Counter[str] | None = None
        self._lines: list[str] | None = None

    @property
    def counts(self) -> Counter[str]:
        """How often each word occurs."""
        # Plainly remembered: the lock of `functools.cached_property` costs as much as a rule.
        if self._counts is None:
            self._counts = Counter(self.words)
        return self._counts

    @property
    def n_spaced_words(self) -> int:
        """As many words as the text would have if its script separated them as English does."""
        n_letters = length_in_letters(self.text)
        return len(self.words) if n_letters == len(self.text) else max(len(self.words), n_letters // LETTERS_PER_WORD)

    @property
    def mean_word_length(self) -> float | None:
        """In characters; ``None`` for a text that is mostly in a script without spaces between words.

        What stands in such a script among others is left out.
        """
        n_unspaced = count_unspaced(self.text)
        if not n_unspaced:
            return self.n_characters / max(len(self.words), 1)
        words = list(filter(SPACED_LETTER.search, self.words))
        n_characters = sum(map(len, words))
        return n_characters / len(words) if n_characters > n_unspaced else None

    @property
    def lines(self) -> list[str]:
        """Those that are not blank, without the white space around them."""
        if self._lines is None:
            self._lines = [line for line in map(str.strip, self.text.split("\n")) if line]
        return self._lines

    def has_lines(self, n_lines: int) -> bool:
        """Whether there are at least so many lines."""
        # To divide a text into lines costs more than to count their ends.
        return self.text.count("\n") + 1 >= n_lines and len(self.lines) >= n_lines


def below(rule: str, score: float, threshold: float) -> Reason | None:
    """The failure of a rule whose score has to reach a threshold."""
    return Reason(rule, score, threshold) if score < threshold else None


def above(rule: str, score: float, threshold: float) -> Reason | None:
    """The failure of a rule whose score must not exceed a threshold."""
    return Reason(rule, score, threshold) if score > threshold else None
