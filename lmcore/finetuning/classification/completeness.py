"""Examples of complete and of truncated texts, made from documents: is a text whole, or was it cut off?

A document gives two examples: the whole text, and its beginning up to a word that the document's id selects. Some cuts
look like an end, so no classifier can be right about all of them.
"""

import re
from hashlib import blake2b

COMPLETE, TRUNCATED = "complete", "truncated"
MIN_WORDS = 5
"""The fewest words of a truncated text; shorter documents give no examples."""
WORD_ENDS = re.compile(r"\S(?=\s+\S)")
"""The last character of each word but the last."""


def complete_and_truncated(identity: str, text: str) -> list[tuple[str, str]]:
    """The two examples of a document, text and label; none if it has no more than :data:`MIN_WORDS` words."""
    ends = [match.end() for match in WORD_ENDS.finditer(text)][MIN_WORDS - 1 :]
    if not ends:
        return []
    drawn = int.from_bytes(blake2b(identity.encode(), digest_size=8).digest())
    return [(text, COMPLETE), (text[: ends[drawn % len(ends)]], TRUNCATED)]
