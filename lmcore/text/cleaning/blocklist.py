"""Documents that hold too many phrases nobody wants a model to learn."""

import re
from functools import lru_cache

from lmcore.config.clean import BlocklistConfig
from lmcore.text.cleaning.reasons import Reason
from lmcore.text.words.segmentation import LETTER_OF_WORD, MARKS, words_of

LETTERS, IS_LETTER = re.compile(r"\w+"), re.compile(LETTER_OF_WORD)


def blocked_content(text: str, config: BlocklistConfig) -> Reason | None:
    """Why a text is dropped, if it is: it holds ``phrases`` more often than its length allows, in whatever case.

    It may hold ``max_occurrences`` of them, and one more for every ``words_per_occurrence`` words.
    Phrases stand for whole words, "ass" is not found in "class"; but wherever they stand where a script puts no space
    between words.
    """
    pattern, first_words = _compiled(config.phrases)
    lower = text.lower()
    # Few texts hold any first word of a phrase, and to find that out costs a tenth of a search.
    if not any(word in lower for word in first_words):
        return None
    found = pattern.findall(lower)
    if len(found) <= config.max_occurrences:
        return None
    most = config.max_occurrences + len(words_of(text)) // config.words_per_occurrence
    if len(found) <= most:
        return None
    return Reason("blocked_content", float(len(found)), float(most), ", ".join(dict.fromkeys(found)))


@lru_cache(maxsize=1)
def _compiled(phrases: tuple[str, ...]) -> tuple[re.Pattern[str], frozenset[str]]:
    lower = sorted({phrase.lower() for phrase in phrases}, key=lambda phrase: (-len(phrase), phrase))
    first_words = frozenset((LETTERS.findall(phrase) or [phrase])[0] for phrase in lower)
    return re.compile("|".join(map(_whole, lower))), first_words


def _whole(phrase: str) -> str:
    """A pattern that finds a phrase where no word goes on before or behind it."""
    before = f"(?<!{LETTER_OF_WORD})" if IS_LETTER.match(phrase[0]) else ""
    behind = f"(?!{LETTER_OF_WORD}|[{MARKS}])" if IS_LETTER.match(phrase[-1]) else ""
    return f"{before}{re.escape(phrase)}{behind}"
