"""Rules that drop a document; each states its failure, what it measured and the threshold."""

from collections.abc import Callable

from lmcore.text.cleaning.config import FilterConfig
from lmcore.text.cleaning.reasons import Reason

WORDS_PER_SEGMENT = 100


Filter = Callable[[str, FilterConfig], Reason | None]


def first_failure(text: str, config: FilterConfig) -> Reason | None:
    """The first rule that a normalized text fails, or ``None`` if it passes them all."""
    return next((drop for rule in FILTERS if (drop := rule(text, config))), None)


def too_short(text: str, config: FilterConfig) -> Reason | None:
    """Fewer characters than ``min_characters``."""
    return _below("too_short", len(text), config.min_characters)


def too_few_words(text: str, config: FilterConfig) -> Reason | None:
    """Fewer words, as white space separates them, than ``min_words``."""
    return _below("too_few_words", len(text.split()), config.min_words)


def too_few_letters(text: str, config: FilterConfig) -> Reason | None:
    """A smaller share of letters among the characters that are not white space than ``min_letter_share``."""
    characters = "".join(text.split())
    share = sum(map(str.isalpha, characters)) / max(len(characters), 1)
    return _below("too_few_letters", share, config.min_letter_share)


def words_too_long(text: str, config: FilterConfig) -> Reason | None:
    """Words that are longer on average than ``max_mean_word_length`` (Gopher, https://arxiv.org/abs/2112.11446)."""
    words = text.split()
    mean = sum(map(len, words)) / max(len(words), 1)
    return _above("words_too_long", mean, config.max_mean_word_length)


def too_many_repeated_lines(text: str, config: FilterConfig) -> Reason | None:
    """A larger share of lines that stood there before than ``max_repeated_line_share`` (Gopher)."""
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    share = (len(lines) - len(set(lines))) / max(len(lines), 1)
    return _above("too_many_repeated_lines", share, config.max_repeated_line_share)


def too_repetitive(text: str, config: FilterConfig) -> Reason | None:
    """A smaller share of different words than ``min_distinct_word_share``.

    The mean over segments of 100 words, since the share of different words falls with the length of a text.
    """
    words = text.split()
    segments = [words[start : start + WORDS_PER_SEGMENT] for start in range(0, len(words), WORDS_PER_SEGMENT)]
    # A short rest would weigh as much as a whole segment.
    whole = [segment for segment in segments if len(segment) == WORDS_PER_SEGMENT] or segments
    share = sum(len(set(segment)) / len(segment) for segment in whole) / max(len(whole), 1)
    return _below("too_repetitive", share, config.min_distinct_word_share)


FILTERS: tuple[Filter, ...] = (
    too_short,
    too_few_words,
    too_few_letters,
    words_too_long,
    too_many_repeated_lines,
    too_repetitive,
)
"""The cheap and telling ones first: a document is dropped under the first rule it fails."""


def _below(rule: str, score: float, threshold: float) -> Reason | None:
    return Reason(rule, score, threshold) if score < threshold else None


def _above(rule: str, score: float, threshold: float) -> Reason | None:
    return Reason(rule, score, threshold) if score > threshold else None
