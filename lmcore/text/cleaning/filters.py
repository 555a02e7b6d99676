"""Rules that drop a document; each states its failure, what it measured and the threshold.

Most stand in Gopher's list (Rae et al. 2021, https://arxiv.org/abs/2112.11446, appendix A) or C4's (Raffel et al. 2020,
https://arxiv.org/abs/1910.10683, section 2.2).
"""

import re
from collections.abc import Callable, Sequence

from lmcore.config.clean import FilterConfig
from lmcore.text.cleaning.filter_input import LETTER, LETTER_OR_DIGIT, Text, above, below
from lmcore.text.cleaning.reasons import Reason
from lmcore.text.cleaning.repetition import (
    one_pair_too_often,
    too_many_repeated_lines,
    too_many_repeated_paragraphs,
    too_many_repeated_runs,
    too_repetitive,
)
from lmcore.text.cleaning.structure import (
    SENTENCE_ENDS,
    breaks_off,
    count_symbols,
    is_address,
    is_bare_item,
    without_structure,
)
from lmcore.text.words.segmentation import MARKS, length_in_letters, words_of

WORDS_PER_PLACEHOLDER = 100
"""A placeholder among more words is a matter of what the text is about."""
LONGEST_WORD = 100
"""What is longer is no word but a blob: a picture in an address, a program without spaces."""
MAX_BLOBS_PER_WORD, MAX_BLOB_SHARE = 0.1, 0.98
"""A text with more blobs, or with a larger share of its characters in them, is about nothing else."""
STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with", "a", "in", "is", "for", "it", "on"))
NO_LETTERS, MARK = re.compile(r"[\W\d_]+"), re.compile(f"[{MARKS}]+")
# The same in ASCII, at many times the speed.
ASCII_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())
ASCII_WORD_WITHOUT_LETTERS = re.compile(r"(?<!\S)[^\sA-Za-z]+(?!\S)")
ELLIPSES = ("...", "…")
QUOTES = ('"', "'", "`", "\u201c", "\u201e", "\u2018", "\u00ab")

Filter = Callable[[Text, FilterConfig], Reason | None]


def first_failure(text: str, language: str, config: FilterConfig) -> Reason | None:
    """The first rule that a normalized text fails, or ``None`` if it passes them all."""
    read = Text(text, language)
    return next((drop for rule in FILTERS if (drop := rule(read, config))), None)


def too_short(text: Text, config: FilterConfig) -> Reason | None:
    """Fewer characters than ``min_characters``; a Chinese one counts as three."""
    return below("too_short", length_in_letters(text.text), config.min_characters)


def too_few_words(text: Text, config: FilterConfig) -> Reason | None:
    """Fewer words than ``min_words``."""
    return below("too_few_words", text.n_spaced_words, config.min_words)


def placeholder_text(text: Text, config: FilterConfig) -> Reason | None:
    """A placeholder in whatever case (C4 drops pages with "lorem ipsum"), one for every hundred words."""
    if not config.placeholders:
        return None
    lower = text.text.lower()
    found = {phrase: n_found for phrase in config.placeholders if (n_found := _n_unquoted(phrase.lower(), lower))}
    if sum(found.values()) * WORDS_PER_PLACEHOLDER <= len(text.words):
        return None
    return Reason("placeholder_text", detail=", ".join(found))


def too_few_letters(text: Text, config: FilterConfig) -> Reason | None:
    """A smaller share of letters among the characters that are not white space than ``min_letter_ratio``.

    Where the whole text fails, what lines begin with for their form and rules are left out, and vowel marks count.
    """
    share = _n_letters(text.text) / max(text.n_characters, 1)
    if share < config.min_letter_ratio:
        content = without_structure(text.text)
        n_marks = len(content) - len(MARK.sub("", content))
        share = max(share, (_n_letters(content) + n_marks) / max(len("".join(content.split())), 1))
    return below("too_few_letters", share, config.min_letter_ratio)


def words_too_short(text: Text, config: FilterConfig) -> Reason | None:
    """Words that are shorter on average than ``min_mean_word_length`` (Gopher), in scripts that separate words.

    Where the whole text fails, those with letters are asked alone.
    """
    length = text.mean_word_length
    if length is None or len(text.words) < config.min_words_for_ratios:
        return None
    if length < config.min_mean_word_length and (words := list(filter(LETTER.search, text.words))):
        length = max(length, sum(map(len, words)) / len(words))
    return below("words_too_short", length, config.min_mean_word_length)


def words_too_long(text: Text, config: FilterConfig) -> Reason | None:
    """Words that are longer on average than ``max_mean_word_length`` (Gopher), in scripts that separate words.

    The addresses of pages are no words, nor are a few blobs among many words.
    """
    length = text.mean_word_length
    if length is None or length <= config.max_mean_word_length or len(text.words) < config.min_words_for_ratios:
        return None
    words = _without_few_blobs([word for word in text.words if not is_address(word)])
    shorter = len("".join(words)) / len(words) if words else length
    return above("words_too_long", min(length, shorter), config.max_mean_word_length)


def too_few_words_with_letters(text: Text, config: FilterConfig) -> Reason | None:
    """A smaller share of words with a letter in them than ``min_alphabetic_word_ratio`` (Gopher).

    Signs that stand alone, as in a program, are no words where the whole text fails.
    """
    share = _share_of_words_with_letters(text.text, text.words)
    if share < config.min_alphabetic_word_ratio:
        words = [word for word in words_of(without_structure(text.text)) if LETTER_OR_DIGIT.search(word)]
        share = max(share, sum(1 for word in words if LETTER.search(word)) / max(len(words), 1))
    return below("too_few_words_with_letters", share, config.min_alphabetic_word_ratio)


def too_many_symbols(text: Text, config: FilterConfig) -> Reason | None:
    """More hash signs and ellipses for each word than ``max_symbols_per_word`` (Gopher)."""
    n_words = len(text.words)
    most = config.max_symbols_per_word * n_words
    if n_words < config.min_words_for_repetition or text.text.count("#") + sum(map(text.text.count, ELLIPSES)) <= most:
        return None
    return above("too_many_symbols", count_symbols(text.text) / max(n_words, 1), config.max_symbols_per_word)


def too_few_stop_words(text: Text, config: FilterConfig) -> Reason | None:
    """Fewer different ones of the commonest words than ``min_distinct_stop_words`` (Gopher); English alone is asked."""
    if text.language != "en" or not config.min_distinct_stop_words:
        return None
    found = STOP_WORDS.intersection(map(str.lower, text.words))
    return below("too_few_stop_words", len(found), config.min_distinct_stop_words)


def too_many_bullets(text: Text, config: FilterConfig) -> Reason | None:
    """A larger share of lines that are bare items of a list than ``max_bullet_line_ratio`` (Gopher)."""
    if not text.has_lines(config.min_lines_for_ratios):
        return None
    share = sum(map(is_bare_item, text.lines)) / max(len(text.lines), 1)
    return above("too_many_bullets", share, config.max_bullet_line_ratio)


def too_many_ellipses(text: Text, config: FilterConfig) -> Reason | None:
    """A larger share of lines that end with an ellipsis than ``max_ellipsis_line_ratio`` (Gopher)."""
    if not any(ellipsis in text.text for ellipsis in ELLIPSES) or not text.has_lines(config.min_lines_for_ratios):
        return None
    share = sum(map(breaks_off, text.lines)) / max(len(text.lines), 1)
    return above("too_many_ellipses", share, config.max_ellipsis_line_ratio)


def too_few_sentences(text: Text, config: FilterConfig) -> Reason | None:
    """A smaller share of lines that end as a sentence does than ``min_sentence_line_ratio`` (C4)."""
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
"""The cheap and telling ones first: a document is dropped under the first rule it fails."""


def _n_unquoted(phrase: str, text: str) -> int:
    """How often a phrase stands in a text, and not in quotation marks: such a text is about it."""
    if phrase not in text:
        return 0
    return text.count(phrase) - sum(text.count(f"{mark}{phrase}") for mark in QUOTES)


def _without_few_blobs(words: Sequence[str]) -> Sequence[str]:
    """The words without the blobs among them, or all of them where a text is mostly blob."""
    blobs = [word for word in words if len(word) > LONGEST_WORD]
    are_few = len(blobs) <= MAX_BLOBS_PER_WORD * len(words)
    if are_few and len("".join(blobs)) <= MAX_BLOB_SHARE * len("".join(words)):
        return [word for word in words if len(word) <= LONGEST_WORD]
    return words


def _n_letters(text: str) -> int:
    """Letters of any script."""
    if text.isascii():
        return len(text.encode().translate(None, ASCII_NO_LETTERS))
    return len(NO_LETTERS.sub("", text))


def _share_of_words_with_letters(text: str, words: Sequence[str]) -> float:
    """The others are numbers, formulas and punctuation."""
    if text.isascii():
        n_without = len(ASCII_WORD_WITHOUT_LETTERS.findall(text))
    else:
        n_without = sum(1 for word in words if not LETTER.search(word))
    return (len(words) - n_without) / max(len(words), 1)
