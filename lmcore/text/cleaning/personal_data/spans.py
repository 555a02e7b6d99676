"""Helpers shared by all finders of personal data."""

import re
from collections.abc import Iterator

Spans = Iterator[tuple[int, int]]
"""First character and the one after the last, of each finding."""

CONTEXT_CHARACTERS = 32


def words_before(text: str, start: int, words: re.Pattern[str]) -> bool:
    """Whether one of ``words`` comes shortly before a position, in the same line."""
    before = text[max(start - CONTEXT_CHARACTERS, 0) : start].rpartition("\n")[2]
    return words.search(before) is not None
