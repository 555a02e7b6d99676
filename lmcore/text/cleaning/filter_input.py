"""A text with the properties that several filters use, each computed once."""

import re
from collections import Counter

from lmcore.text.words.segmentation import LETTER_OF_WORD, count_unspaced, length_in_letters, words_of

LETTERS_PER_WORD = 6
"""Mean length of an English word and the space after it: it converts the length of unspaced scripts to words."""
LETTER, LETTER_OR_DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"[^\W_]")
SPACED_LETTER = re.compile(LETTER_OF_WORD)


class FilterInput:
    """A normalized text with properties that several filters use.

    Attributes:
        text: the text itself.
        language: its language code.
        words: see :func:`lmcore.text.words.segmentation.words_of`.
        n_characters: number of characters that are not white space.
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
        # Cached by hand: the lock of `functools.cached_property` costs as much as a filter.
        if self._counts is None:
            self._counts = Counter(self.words)
        return self._counts

    @property
    def n_spaced_words(self) -> int:
        """The number of words; for scripts without spaces, the number that an English text of that length has."""
        n_letters = length_in_letters(self.text)
        return len(self.words) if n_letters == len(self.text) else max(len(self.words), n_letters // LETTERS_PER_WORD)

    @property
    def mean_word_length(self) -> float | None:
        """Mean word length in characters; ``None`` for a text that is mostly in a script without spaces.

        In a mixed text, only the words of scripts with spaces count.
        """
        n_unspaced = count_unspaced(self.text)
        if not n_unspaced:
            return self.n_characters / max(len(self.words), 1)
        words = list(filter(SPACED_LETTER.search, self.words))
        n_characters = sum(map(len, words))
        return n_characters / len(words) if n_characters > n_unspaced else None

    @property
    def lines(self) -> list[str]:
        """The lines that are not blank, stripped."""
        if self._lines is None:
            self._lines = [line for line in map(str.strip, self.text.split("\n")) if line]
        return self._lines

    def has_lines(self, n_lines: int) -> bool:
        """Whether the text has at least ``n_lines`` lines that are not blank."""
        # Counting line ends is cheaper than splitting the text.
        return self.text.count("\n") + 1 >= n_lines and len(self.lines) >= n_lines
