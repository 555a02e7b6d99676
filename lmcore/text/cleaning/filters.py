"""Rules that drop a document; each states its failure, what it measured and the threshold.

Most stand in Gopher's list (Rae et al. 2021, https://arxiv.org/abs/2112.11446, appendix A) or C4's (Raffel et al. 2020,
https://arxiv.org/abs/1910.10683, section 2.2).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise

from lmcore.text.cleaning.config import FilterConfig
from lmcore.text.cleaning.reasons import Reason
from lmcore.text.words import count_unspaced, words_of

WORDS_PER_SEGMENT = 100
WORDS_PER_RUN = 10
STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with", "a", "in", "is", "for", "it", "on"))
LETTER, NO_LETTERS = re.compile(r"[^\W\d_]"), re.compile(r"[\W\d_]+")
# The same in ASCII, at many times the speed.
ASCII_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())
ASCII_WORD_WITHOUT_LETTERS = re.compile(r"(?<!\S)[^\sA-Za-z]+(?!\S)")
BULLETS = ("-", "*", "•", "‣", "▪", "◦", "·")
SENTENCE_ENDS = (
    ".",
    "!",
    "?",
    ":",
    '"',
    "'",
    ")",
    "\u201d",
    "\u2019",
    "\u2026",
    "\u3002",
    "\uff01",
    "\uff1f",
    "\u300d",
)
ELLIPSES = ("...", "…")


class Text:
    """A normalized text and what several rules look at.

    Attributes:
        text: as it is.
        language: as its code.
        words: see :func:`lmcore.text.words.words_of`.
        n_characters: how many are not white space.
    """

    __slots__ = ("_counts", "_lines", "language", "n_characters", "text", "words")

    def __init__(self, text: str, language: str) -> None:
        self.text = text
        self.language = language
        self.words = words_of(text)
        self.n_characters = len("".join(self.words))
        self._counts: Counter[str] | None = None
        self._lines: list[str] | None = None

    @property
    def counts(self) -> Counter[str]:
        """How often each word stands there."""
        # Plainly remembered: the lock of `functools.cached_property` costs as much as a rule.
        if self._counts is None:
            self._counts = Counter(self.words)
        return self._counts

    @property
    def mean_word_length(self) -> float | None:
        """In characters; ``None`` for a text that is mostly in a script without spaces between words."""
        if 2 * count_unspaced(self.text) > self.n_characters:
            return None
        return self.n_characters / max(len(self.words), 1)

    @property
    def lines(self) -> list[str]:
        """Those that are not blank, without the white space around them."""
        if self._lines is None:
            self._lines = [line for line in map(str.strip, self.text.split("\n")) if line]
        return self._lines


Filter = Callable[[Text, FilterConfig], Reason | None]


def first_failure(text: str, language: str, config: FilterConfig) -> Reason | None:
    """The first rule that a normalized text fails, or ``None`` if it passes them all."""
    read = Text(text, language)
    return next((drop for rule in FILTERS if (drop := rule(read, config))), None)


def too_short(text: Text, config: FilterConfig) -> Reason | None:
    """Fewer characters than ``min_characters``."""
    return _below("too_short", len(text.text), config.min_characters)


def too_few_words(text: Text, config: FilterConfig) -> Reason | None:
    """Fewer words than ``min_words``."""
    return _below("too_few_words", len(text.words), config.min_words)


def placeholder_text(text: Text, config: FilterConfig) -> Reason | None:
    """One of the ``placeholders``, in whatever case (C4 drops pages with "lorem ipsum")."""
    if not config.placeholders:
        return None
    lower = text.text.lower()
    found = next((phrase for phrase in config.placeholders if phrase.lower() in lower), None)
    return None if found is None else Reason("placeholder_text", detail=found)


def too_few_letters(text: Text, config: FilterConfig) -> Reason | None:
    """A smaller share of letters among the characters that are not white space than ``min_letter_share``."""
    return _below("too_few_letters", _n_letters(text.text) / max(text.n_characters, 1), config.min_letter_share)


def words_too_short(text: Text, config: FilterConfig) -> Reason | None:
    """Words that are shorter on average than ``min_mean_word_length`` (Gopher), in scripts that separate words."""
    length = text.mean_word_length
    return None if length is None else _below("words_too_short", length, config.min_mean_word_length)


def words_too_long(text: Text, config: FilterConfig) -> Reason | None:
    """Words that are longer on average than ``max_mean_word_length`` (Gopher), in scripts that separate words."""
    length = text.mean_word_length
    return None if length is None else _above("words_too_long", length, config.max_mean_word_length)


def too_few_words_with_letters(text: Text, config: FilterConfig) -> Reason | None:
    """A smaller share of words with a letter in them than ``min_share_of_words_with_letters`` (Gopher)."""
    share = (len(text.words) - _n_words_without_letters(text)) / max(len(text.words), 1)
    return _below("too_few_words_with_letters", share, config.min_share_of_words_with_letters)


def too_many_symbols(text: Text, config: FilterConfig) -> Reason | None:
    """More hash signs and ellipses for each word than ``max_symbols_per_word`` (Gopher)."""
    n_symbols = text.text.count("#") + sum(map(text.text.count, ELLIPSES))
    return _above("too_many_symbols", n_symbols / max(len(text.words), 1), config.max_symbols_per_word)


def too_few_stop_words(text: Text, config: FilterConfig) -> Reason | None:
    """Fewer different ones of the commonest words than ``min_distinct_stop_words`` (Gopher); English alone is asked."""
    if text.language != "en" or not config.min_distinct_stop_words:
        return None
    found = STOP_WORDS.intersection(map(str.lower, text.words))
    return _below("too_few_stop_words", len(found), config.min_distinct_stop_words)


def too_many_bullets(text: Text, config: FilterConfig) -> Reason | None:
    """A larger share of lines that begin with a bullet than ``max_bullet_line_share`` (Gopher)."""
    n_bullets = sum(1 for line in text.lines if line.startswith(BULLETS))
    share = n_bullets / max(len(text.lines), 1)
    return _above("too_many_bullets", share, config.max_bullet_line_share)


def too_many_ellipses(text: Text, config: FilterConfig) -> Reason | None:
    """A larger share of lines that end with an ellipsis than ``max_ellipsis_line_share`` (Gopher)."""
    if not any(ellipsis in text.text for ellipsis in ELLIPSES):
        return None
    n_ellipses = sum(1 for line in text.lines if line.endswith(ELLIPSES))
    return _above("too_many_ellipses", n_ellipses / max(len(text.lines), 1), config.max_ellipsis_line_share)


def too_few_sentences(text: Text, config: FilterConfig) -> Reason | None:
    """A smaller share of lines that end as a sentence does than ``min_sentence_line_share`` (C4)."""
    if not config.min_sentence_line_share:
        return None
    n_sentences = sum(1 for line in text.lines if line.endswith(SENTENCE_ENDS))
    return _below("too_few_sentences", n_sentences / max(len(text.lines), 1), config.min_sentence_line_share)


def too_many_repeated_lines(text: Text, config: FilterConfig) -> Reason | None:
    """A larger share of lines that stood there before than ``max_repeated_line_share`` (Gopher)."""
    return _above("too_many_repeated_lines", _repeated_share(text.lines), config.max_repeated_line_share)


def too_many_repeated_paragraphs(text: Text, config: FilterConfig) -> Reason | None:
    """A larger share of paragraphs that stood there before than ``max_repeated_paragraph_share`` (Gopher)."""
    paragraphs = [paragraph for paragraph in map(str.strip, text.text.split("\n\n")) if paragraph]
    return _above("too_many_repeated_paragraphs", _repeated_share(paragraphs), config.max_repeated_paragraph_share)


def too_repetitive(text: Text, config: FilterConfig) -> Reason | None:
    """A smaller share of different words than ``min_distinct_word_share``.

    The mean over segments of 100 words, since the share of different words falls with the length of a text.
    """
    words = text.words
    segments = [words[start : start + WORDS_PER_SEGMENT] for start in range(0, len(words), WORDS_PER_SEGMENT)]
    # A short rest would weigh as much as a whole segment.
    whole = [segment for segment in segments if len(segment) == WORDS_PER_SEGMENT] or segments
    share = sum(len(set(segment)) / len(segment) for segment in whole) / max(len(whole), 1)
    return _below("too_repetitive", share, config.min_distinct_word_share)


def one_pair_too_often(text: Text, config: FilterConfig) -> Reason | None:
    """A larger share of words in the commonest pair of words than ``max_top_pair_share`` (Gopher)."""
    n_words = len(text.words)
    # No pair stands there more often than its first word, and to count words costs a third of counting pairs.
    if 2 * max(text.counts.values(), default=0) <= config.max_top_pair_share * n_words:
        return None
    n_most = max(Counter(pairwise(text.words)).values(), default=0)
    share = 2 * n_most / max(n_words, 1) if n_most > 1 else 0.0
    return _above("one_pair_too_often", share, config.max_top_pair_share)


def too_many_repeated_runs(text: Text, config: FilterConfig) -> Reason | None:
    """A larger share of words in runs of ten that stood there before than ``max_repeated_run_share`` (Gopher)."""
    n_words = len(text.words)
    # Ten words that come again are ten words and nine pairs that do: few texts have so many of these.
    most_words = config.max_repeated_run_share * n_words
    if n_words - len(text.counts) <= most_words:
        return None
    if (n_words - 1 - len(set(pairwise(text.words)))) * WORDS_PER_RUN <= most_words * (WORDS_PER_RUN - 1):
        return None
    share = _repeated_run_words(text.words) / max(n_words, 1)
    return _above("too_many_repeated_runs", share, config.max_repeated_run_share)


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


def _n_letters(text: str) -> int:
    """Letters of any script."""
    if text.isascii():
        return len(text.encode().translate(None, ASCII_NO_LETTERS))
    return len(NO_LETTERS.sub("", text))


def _n_words_without_letters(text: Text) -> int:
    """Numbers, formulas and punctuation."""
    if text.text.isascii():
        return len(ASCII_WORD_WITHOUT_LETTERS.findall(text.text))
    return sum(1 for word in text.words if not LETTER.search(word))


def _repeated_share(parts: Sequence[str]) -> float:
    return (len(parts) - len(set(parts))) / max(len(parts), 1)


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


def _below(rule: str, score: float, threshold: float) -> Reason | None:
    return Reason(rule, score, threshold) if score < threshold else None


def _above(rule: str, score: float, threshold: float) -> Reason | None:
    return Reason(rule, score, threshold) if score > threshold else None
