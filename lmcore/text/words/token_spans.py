"""Tokens of a text from the positions that are kept of them."""

from collections.abc import Iterator, Sequence


def token_spans(text: str, token_ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield start and end of every token: from the end of the last one, or behind the space that stands there.

    A run of several spaces holds tokens of its own, as in spaCy; in Thai a single space is one, too.
    """
    last = 0
    for end in token_ends:
        is_behind_space = last > 0 and text[last] == " " and end > last + 1
        yield last + is_behind_space, end
        last = end
