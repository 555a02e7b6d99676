"""Rules that drop a document which repeats itself: its lines, paragraphs, words, pairs and runs of words.

All of them stand in Gopher's list (Rae et al. 2021, https://arxiv.org/abs/2112.11446, appendix A); there lines and
paragraphs are counted, here their characters.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

from lmcore.config.clean import FilterConfig
from lmcore.text.cleaning.filter_input import LETTER, LETTER_OR_DIGIT, Text, above, below
from lmcore.text.cleaning.reasons import Reason

WORDS_PER_SEGMENT = 100
WORDS_PER_RUN = 10


def too_many_repeated_lines(text: Text, config: FilterConfig) -> Reason | None:
    """A larger share of characters in lines that stood there before than ``max_repeated_line_ratio`` (Gopher)."""
    if not text.has_lines(config.min_lines_for_ratios):
        return None
    return above("too_many_repeated_lines", _repeated_share(text.lines), config.max_repeated_line_ratio)


def too_many_repeated_paragraphs(text: Text, config: FilterConfig) -> Reason | None:
    """A larger share of characters in paragraphs that stood there before than ``max_repeated_paragraph_ratio``."""
    if not text.has_lines(config.min_lines_for_ratios):
        return None
    paragraphs = [paragraph for paragraph in map(str.strip, text.text.split("\n\n")) if paragraph]
    return above("too_many_repeated_paragraphs", _repeated_share(paragraphs), config.max_repeated_paragraph_ratio)


def too_repetitive(text: Text, config: FilterConfig) -> Reason | None:
    """A smaller share of different words than ``min_distinct_word_ratio``.

    The mean over segments of 100 words, since the share of different words falls with the length of a text.
    """
    if len(text.words) < config.min_words_for_repetition:
        return None
    share = _share_of_different(text.words)
    if share < config.min_distinct_word_ratio:
        # The borders of tables are no words.
        share = max(share, _share_of_different([word for word in text.words if LETTER_OR_DIGIT.search(word)]))
    return below("too_repetitive", share, config.min_distinct_word_ratio)


def one_pair_too_often(text: Text, config: FilterConfig) -> Reason | None:
    """A larger share of words in the most frequent word pair than ``max_top_pair_ratio`` (Gopher).

    Numbers and symbols are not words: tables and programs repeat them.
    """
    n_words = len(text.words)
    if n_words < config.min_words_for_repetition:
        return None
    # No pair stands there more often than its first word, and to count words costs a third of counting pairs.
    if 2 * max(text.counts.values(), default=0) <= config.max_top_pair_ratio * n_words:
        return None
    pairs = Counter(pair for pair in pairwise(text.words) if LETTER.search(pair[0]) and LETTER.search(pair[1]))
    n_most = max(pairs.values(), default=0)
    share = 2 * n_most / max(n_words, 1) if n_most > 1 else 0.0
    return above("one_pair_too_often", share, config.max_top_pair_ratio)


def too_many_repeated_runs(text: Text, config: FilterConfig) -> Reason | None:
    """A larger share of words in runs of ten that stood there before than ``max_repeated_run_ratio`` (Gopher)."""
    n_words = len(text.words)
    # Ten words that come again are ten words and nine pairs that do: few texts have so many of these.
    most_words = config.max_repeated_run_ratio * n_words
    if n_words < config.min_words_for_repetition or n_words - len(text.counts) <= most_words:
        return None
    if (n_words - 1 - len(set(pairwise(text.words)))) * WORDS_PER_RUN <= most_words * (WORDS_PER_RUN - 1):
        return None
    share = _repeated_run_words(text.words) / max(n_words, 1)
    if share > config.max_repeated_run_ratio:
        # Tables of figures repeat their borders and zeros.
        words = list(filter(LETTER.search, text.words))
        share = min(share, _repeated_run_words(words) / max(len(words), 1))
    return above("too_many_repeated_runs", share, config.max_repeated_run_ratio)


def _share_of_different(words: Sequence[str]) -> float:
    segments = [words[start : start + WORDS_PER_SEGMENT] for start in range(0, len(words), WORDS_PER_SEGMENT)]
    # A short rest would weigh as much as a whole segment.
    whole = [segment for segment in segments if len(segment) == WORDS_PER_SEGMENT] or segments
    return sum(len(set(segment)) / len(segment) for segment in whole) / max(len(whole), 1)


def _repeated_share(parts: Sequence[str]) -> float:
    """Characters in parts that stood there before, among all: a short one, as who speaks in a play, weighs little."""
    different = set(parts)
    if len(different) == len(parts):
        return 0.0
    n_characters = sum(map(len, parts))
    return (n_characters - sum(map(len, different))) / n_characters


def _repeated_run_words(words: Sequence[str]) -> int:
    """How many words lie in runs that stood there before; each word counts once."""
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
