"""Filters that drop repetitive documents: repeated lines, paragraphs, words, word pairs and runs of words.

They follow Gopher (Rae et al. 2021, https://arxiv.org/abs/2112.11446, appendix A), except that lines and paragraphs are
weighted by their characters.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

from lmcore.config.clean import FilterConfig
from lmcore.text.cleaning.filter_input import LETTER, LETTER_OR_DIGIT, FilterInput
from lmcore.text.cleaning.reasons import Reason, above, below

WORDS_PER_SEGMENT = 100
WORDS_PER_RUN = 10


def too_many_repeated_lines(text: FilterInput, config: FilterConfig) -> Reason | None:
    """A ratio of characters in repeated lines above ``max_repeated_line_ratio`` (Gopher)."""
    if not text.has_lines(config.min_lines_for_ratios):
        return None
    return above("too_many_repeated_lines", _repeated_ratio(text.lines), config.max_repeated_line_ratio)


def too_many_repeated_paragraphs(text: FilterInput, config: FilterConfig) -> Reason | None:
    """A ratio of characters in repeated paragraphs above ``max_repeated_paragraph_ratio`` (Gopher)."""
    if not text.has_lines(config.min_lines_for_ratios):
        return None
    paragraphs = [paragraph for paragraph in map(str.strip, text.text.split("\n\n")) if paragraph]
    return above("too_many_repeated_paragraphs", _repeated_ratio(paragraphs), config.max_repeated_paragraph_ratio)


def too_repetitive(text: FilterInput, config: FilterConfig) -> Reason | None:
    """A ratio of distinct words to all words below ``min_distinct_word_ratio``.

    It is averaged over segments of 100 words, since it falls with the length of a text.
    """
    if len(text.words) < config.min_words_for_repetition:
        return None
    ratio = _distinct_word_ratio(text.words)
    if ratio < config.min_distinct_word_ratio:
        # Table borders are not words.
        ratio = max(ratio, _distinct_word_ratio([word for word in text.words if LETTER_OR_DIGIT.search(word)]))
    return below("too_repetitive", ratio, config.min_distinct_word_ratio)


def one_pair_too_often(text: FilterInput, config: FilterConfig) -> Reason | None:
    """A ratio of words in the most frequent word pair above ``max_top_pair_ratio`` (Gopher).

    Numbers and symbols are not counted: tables and programs repeat them.
    """
    n_words = len(text.words)
    if n_words < config.min_words_for_repetition:
        return None
    # No pair is more frequent than its first word, and counting words costs a third of counting pairs.
    if 2 * max(text.counts.values(), default=0) <= config.max_top_pair_ratio * n_words:
        return None
    pairs = Counter(pair for pair in pairwise(text.words) if LETTER.search(pair[0]) and LETTER.search(pair[1]))
    n_most = max(pairs.values(), default=0)
    ratio = 2 * n_most / max(n_words, 1) if n_most > 1 else 0.0
    return above("one_pair_too_often", ratio, config.max_top_pair_ratio)


def too_many_repeated_runs(text: FilterInput, config: FilterConfig) -> Reason | None:
    """A ratio of words in repeated runs of ten words above ``max_repeated_run_ratio`` (Gopher)."""
    n_words = len(text.words)
    # A repeated run consists of ten repeated words and nine repeated pairs: most texts have fewer of these.
    most_words = config.max_repeated_run_ratio * n_words
    if n_words < config.min_words_for_repetition or n_words - len(text.counts) <= most_words:
        return None
    if (n_words - 1 - len(set(pairwise(text.words)))) * WORDS_PER_RUN <= most_words * (WORDS_PER_RUN - 1):
        return None
    ratio = _count_repeated_run_words(text.words) / max(n_words, 1)
    if ratio > config.max_repeated_run_ratio:
        # Tables of numbers repeat their borders and zeros.
        words = list(filter(LETTER.search, text.words))
        ratio = min(ratio, _count_repeated_run_words(words) / max(len(words), 1))
    return above("too_many_repeated_runs", ratio, config.max_repeated_run_ratio)


def _distinct_word_ratio(words: Sequence[str]) -> float:
    segments = [words[start : start + WORDS_PER_SEGMENT] for start in range(0, len(words), WORDS_PER_SEGMENT)]
    # A short last segment would weigh as much as a whole one.
    whole = [segment for segment in segments if len(segment) == WORDS_PER_SEGMENT] or segments
    return sum(len(set(segment)) / len(segment) for segment in whole) / max(len(whole), 1)


def _repeated_ratio(parts: Sequence[str]) -> float:
    """The ratio of characters in repeated parts: short ones, such as the names of speakers in a play, weigh little."""
    distinct = set(parts)
    if len(distinct) == len(parts):
        return 0.0
    n_characters = sum(map(len, parts))
    return (n_characters - sum(map(len, distinct))) / n_characters


def _count_repeated_run_words(words: Sequence[str]) -> int:
    """How many words are in runs that occurred before; each word counts once."""
    seen: set[tuple[str, ...]] = set()
    n_words = covered_to = 0
    for start, run in enumerate(_runs(words)):
        if run not in seen:
            seen.add(run)
            continue
        n_words += start + WORDS_PER_RUN - max(covered_to, start)
        covered_to = start + WORDS_PER_RUN
    return n_words


def _runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(islice(words, start, None) for start in range(WORDS_PER_RUN)), strict=False)
