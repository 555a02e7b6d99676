"""Quality filters: each returns the reason to drop a document, with its score and threshold, or ``None``.

Most are from Gopher (Rae et al. 2021, https://arxiv.org/abs/2112.11446, appendix A) or C4 (Raffel et al. 2020,
https://arxiv.org/abs/1910.10683, section 2.2). A document that fails a filter is measured again without what a person
would not count, such as table borders, and dropped only if it still fails.
"""

import re
from collections.abc import Callable, Sequence

from lmcore.config.clean import FilterConfig
from lmcore.text.cleaning.filter_input import LETTER, LETTER_OR_DIGIT, FilterInput
from lmcore.text.cleaning.reasons import Reason, above, below
from lmcore.text.cleaning.repetition import (
    one_pair_too_often,
    too_many_repeated_lines,
    too_many_repeated_paragraphs,
    too_many_repeated_runs,
    too_repetitive,
)
from lmcore.text.cleaning.structure import (
    SENTENCE_ENDS,
    count_symbols,
    is_cut_off,
    is_short_item,
    is_url,
    without_structure,
)
from lmcore.text.words.segmentation import MARKS, length_in_letters, words_of

WORDS_PER_PLACEHOLDER = 100
"""Up to one placeholder per this many words is taken for part of the subject."""
LONGEST_WORD = 100
"""A longer "word" is a blob, such as an image in a data URL or minified code."""
MAX_BLOBS_PER_WORD, MAX_BLOB_RATIO = 0.1, 0.98
"""Blobs are ignored in a text with at most this many blobs per word and this ratio of characters in them."""
STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with", "a", "in", "is", "for", "it", "on"))
NO_LETTERS, MARK = re.compile(r"[\W\d_]+"), re.compile(f"[{MARKS}]+")
# Much faster versions for ASCII text.
ASCII_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())
ASCII_WORD_WITHOUT_LETTERS = re.compile(r"(?<!\S)[^\sA-Za-z]+(?!\S)")
ELLIPSES = ("...", "…")
QUOTES = ('"', "'", "`", "\u201c", "\u201e", "\u2018", "\u00ab")

Filter = Callable[[FilterInput, FilterConfig], Reason | None]


def first_failure(text: str, language: str, config: FilterConfig) -> Reason | None:
    """The reason given by the first filter that a normalized text fails, or ``None`` if it passes all of them."""
    filter_input = FilterInput(text, language)
    return next((drop for rule in FILTERS if (drop := rule(filter_input, config))), None)


def too_short(text: FilterInput, config: FilterConfig) -> Reason | None:
    """Fewer characters than ``min_characters``; a Chinese character counts as three."""
    return below("too_short", length_in_letters(text.text), config.min_characters)


def too_few_words(text: FilterInput, config: FilterConfig) -> Reason | None:
    """Fewer words than ``min_words``."""
    return below("too_few_words", text.n_spaced_words, config.min_words)


def placeholder_text(text: FilterInput, config: FilterConfig) -> Reason | None:
    """More than one placeholder per hundred words, ignoring case (C4 drops pages with "lorem ipsum")."""
    if not config.placeholders:
        return None
    lower = text.text.lower()
    found = {phrase: n_found for phrase in config.placeholders if (n_found := _n_unquoted(phrase.lower(), lower))}
    if sum(found.values()) * WORDS_PER_PLACEHOLDER <= len(text.words):
        return None
    return Reason("placeholder_text", detail=", ".join(found))


def too_few_letters(text: FilterInput, config: FilterConfig) -> Reason | None:
    """A ratio of letters to all characters except white space that is below ``min_letter_ratio``.

    A text that fails is measured again without list markers and horizontal rules, and with vowel marks as letters.
    """
    ratio = _n_letters(text.text) / max(text.n_characters, 1)
    if ratio < config.min_letter_ratio:
        content = without_structure(text.text)
        n_marks = len(content) - len(MARK.sub("", content))
        ratio = max(ratio, (_n_letters(content) + n_marks) / max(len("".join(content.split())), 1))
    return below("too_few_letters", ratio, config.min_letter_ratio)


def words_too_short(text: FilterInput, config: FilterConfig) -> Reason | None:
    """A mean word length below ``min_mean_word_length`` (Gopher), in scripts with spaces between words.

    A text that fails is measured again on the words that contain a letter.
    """
    length = text.mean_word_length
    if length is None or len(text.words) < config.min_words_for_ratios:
        return None
    if length < config.min_mean_word_length and (words := list(filter(LETTER.search, text.words))):
        length = max(length, sum(map(len, words)) / len(words))
    return below("words_too_short", length, config.min_mean_word_length)


def words_too_long(text: FilterInput, config: FilterConfig) -> Reason | None:
    """A mean word length above ``max_mean_word_length`` (Gopher), in scripts with spaces between words.

    A text that fails is measured again without URLs and, if there are only a few, without blobs.
    """
    length = text.mean_word_length
    if length is None or length <= config.max_mean_word_length or len(text.words) < config.min_words_for_ratios:
        return None
    words = _without_few_blobs([word for word in text.words if not is_url(word)])
    shorter = len("".join(words)) / len(words) if words else length
    return above("words_too_long", min(length, shorter), config.max_mean_word_length)


def too_few_words_with_letters(text: FilterInput, config: FilterConfig) -> Reason | None:
    """A ratio of words that contain a letter below ``min_alphabetic_word_ratio`` (Gopher).

    A text that fails is measured again without stand-alone symbols, as in program code.
    """
    ratio = _alphabetic_word_ratio(text.text, text.words)
    if ratio < config.min_alphabetic_word_ratio:
        words = [word for word in words_of(without_structure(text.text)) if LETTER_OR_DIGIT.search(word)]
        ratio = max(ratio, sum(1 for word in words if LETTER.search(word)) / max(len(words), 1))
    return below("too_few_words_with_letters", ratio, config.min_alphabetic_word_ratio)


def too_many_symbols(text: FilterInput, config: FilterConfig) -> Reason | None:
    """More hash signs and ellipses per word than ``max_symbols_per_word`` (Gopher)."""
    n_words = len(text.words)
    most = config.max_symbols_per_word * n_words
    if n_words < config.min_words_for_repetition or text.text.count("#") + sum(map(text.text.count, ELLIPSES)) <= most:
        return None
    return above("too_many_symbols", count_symbols(text.text) / max(n_words, 1), config.max_symbols_per_word)


def too_few_stop_words(text: FilterInput, config: FilterConfig) -> Reason | None:
    """Fewer distinct stop words than ``min_distinct_stop_words`` (Gopher); applies to English only."""
    if text.language != "en" or not config.min_distinct_stop_words:
        return None
    found = STOP_WORDS.intersection(map(str.lower, text.words))
    return below("too_few_stop_words", len(found), config.min_distinct_stop_words)


def too_many_bullets(text: FilterInput, config: FilterConfig) -> Reason | None:
    """A ratio of lines that are short list items above ``max_bullet_line_ratio`` (Gopher)."""
    if not text.has_lines(config.min_lines_for_ratios):
        return None
    ratio = sum(map(is_short_item, text.lines)) / max(len(text.lines), 1)
    return above("too_many_bullets", ratio, config.max_bullet_line_ratio)


def too_many_ellipses(text: FilterInput, config: FilterConfig) -> Reason | None:
    """A ratio of lines that end with an ellipsis above ``max_ellipsis_line_ratio`` (Gopher)."""
    if not any(ellipsis in text.text for ellipsis in ELLIPSES) or not text.has_lines(config.min_lines_for_ratios):
        return None
    ratio = sum(map(is_cut_off, text.lines)) / max(len(text.lines), 1)
    return above("too_many_ellipses", ratio, config.max_ellipsis_line_ratio)


def too_few_sentences(text: FilterInput, config: FilterConfig) -> Reason | None:
    """A ratio of lines that end like a sentence below ``min_sentence_line_ratio`` (C4)."""
    if not config.min_sentence_line_ratio or not text.has_lines(config.min_lines_for_ratios):
        return None
    n_sentences = sum(1 for line in text.lines if line.endswith(SENTENCE_ENDS))
    return below("too_few_sentences", n_sentences / max(len(text.lines), 1), config.min_sentence_line_ratio)


FILTERS: tuple[Filter, ...] = (
    too_short,
    too_few_words,
    placeholder_text,
    too_few_letters,
    words_too_short,
    words_too_long,
    too_few_words_with_letters,
    too_many_symbols,
    too_few_stop_words,
    too_many_bullets,
    too_many_ellipses,
    too_few_sentences,
    too_many_repeated_lines,
    too_many_repeated_paragraphs,
    too_repetitive,
    one_pair_too_often,
    too_many_repeated_runs,
)
"""In the order in which they are applied, the cheapest and most selective first."""


def _n_unquoted(phrase: str, text: str) -> int:
    """How often a phrase occurs in a text outside quotation marks: in them, it is what the text is about."""
    if phrase not in text:
        return 0
    return text.count(phrase) - sum(text.count(f"{mark}{phrase}") for mark in QUOTES)


def _without_few_blobs(words: Sequence[str]) -> Sequence[str]:
    """The words without blobs; all words if the text consists mostly of blobs."""
    blobs = [word for word in words if len(word) > LONGEST_WORD]
    are_few = len(blobs) <= MAX_BLOBS_PER_WORD * len(words)
    if are_few and len("".join(blobs)) <= MAX_BLOB_RATIO * len("".join(words)):
        return [word for word in words if len(word) <= LONGEST_WORD]
    return words


def _n_letters(text: str) -> int:
    """How many letters of any script a text contains."""
    if text.isascii():
        return len(text.encode().translate(None, ASCII_NO_LETTERS))
    return len(NO_LETTERS.sub("", text))


def _alphabetic_word_ratio(text: str, words: Sequence[str]) -> float:
    """The ratio of words with a letter to all words; the others are numbers, formulas and punctuation."""
    if text.isascii():
        n_without = len(ASCII_WORD_WITHOUT_LETTERS.findall(text))
    else:
        n_without = sum(1 for word in words if not LETTER.search(word))
    return (len(words) - n_without) / max(len(words), 1)
