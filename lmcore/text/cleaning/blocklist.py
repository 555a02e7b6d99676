"""Drops documents that contain too many phrases from a blocklist."""

import re
from functools import lru_cache

from lmcore.config.clean import BlocklistConfig
from lmcore.text.cleaning.reasons import Reason
from lmcore.text.words.segmentation import LETTER_OF_WORD, MARKS, words_of

LETTERS, IS_LETTER = re.compile(r"\w+"), re.compile(LETTER_OF_WORD)


def blocked_content(text: str, config: BlocklistConfig) -> Reason | None:
    """The reason to drop a text that contains too many of the blocked ``phrases``, ignoring case; else ``None``.

    A text may contain ``max_occurrences`` of them, and one more for every ``words_per_occurrence`` words. Phrases match
    whole words only ("ass" does not match "class"), except in scripts without spaces between words.
    """
    pattern, first_words = _compiled(config.phrases)
    lower = text.lower()
    # Few texts contain the first word of any phrase, and finding that out costs a tenth of a search.
    if not any(word in lower for word in first_words):
        return None
    found = pattern.findall(lower)
    if len(found) <= config.max_occurrences:
        return None
    limit = config.max_occurrences + len(words_of(text)) // config.words_per_occurrence
    if len(found) <= limit:
        return None
    return Reason("blocked_content", float(len(found)), float(limit), ", ".join(dict.fromkeys(found)))


@lru_cache(maxsize=1)
def _compiled(phrases: tuple[str, ...]) -> tuple[re.Pattern[str], frozenset[str]]:
    lower = sorted({phrase.lower() for phrase in phrases}, key=lambda phrase: (-len(phrase), phrase))
    first_words = frozenset((LETTERS.findall(phrase) or [phrase])[0] for phrase in lower)
    return re.compile("|".join(map(_whole_words, lower))), first_words


def _whole_words(phrase: str) -> str:
    """A pattern that matches a phrase between word boundaries."""
    before = f"(?<!{LETTER_OF_WORD})" if IS_LETTER.match(phrase[0]) else ""
    after = f"(?!{LETTER_OF_WORD}|[{MARKS}])" if IS_LETTER.match(phrase[-1]) else ""
    return f"{before}{re.escape(phrase)}{after}"
