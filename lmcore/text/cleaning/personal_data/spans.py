"""The spans that all finders of personal data yield, and the check of their context."""

import re
from collections.abc import Iterator

Spans = Iterator[tuple[int, int]]
"""Start and end of each finding, in characters."""

CONTEXT_CHARACTERS = 32


def words_before(text: str, start: int, words: re.Pattern[str]) -> bool:
    """Whether ``words`` matches within 32 characters before the position ``start``, on the same line."""
    before = text[max(start - CONTEXT_CHARACTERS, 0) : start].rpartition("\n")[2]
    return words.search(before) is not None
