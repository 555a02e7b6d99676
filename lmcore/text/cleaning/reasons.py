"""Why documents are dropped or changed: the rules, and their decisions as values and as tables."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa


class Rule(NamedTuple):
    """A rule that can drop or change a document.

    Attributes:
        setting: the field of :class:`lmcore.config.clean.CleanConfig` that controls it, as a dotted path; ``None`` if
            it cannot be configured.
        description: which documents it applies to, as a sentence fragment for human readers.
    """

    setting: str | None
    description: str


RULES = {
    "empty_text": Rule(None, "no text, or none left after normalization"),
    "too_short": Rule("filters.min_characters", "fewer characters than the threshold"),
    "too_few_words": Rule("filters.min_words", "fewer words than the threshold"),
    "placeholder_text": Rule("filters.placeholders", "placeholder text, such as lorem ipsum"),
    "too_few_letters": Rule("filters.min_letter_ratio", "too small a ratio of letters to all characters"),
    "words_too_short": Rule("filters.min_mean_word_length", "words that are too short on average"),
    "words_too_long": Rule("filters.max_mean_word_length", "words that are too long on average"),
    "too_few_words_with_letters": Rule("filters.min_alphabetic_word_ratio", "too few words that contain a letter"),
    "too_many_symbols": Rule("filters.max_symbols_per_word", "too many hash signs and ellipses per word"),
    "too_few_stop_words": Rule("filters.min_distinct_stop_words", "too few of the most frequent English words"),
    "too_many_bullets": Rule("filters.max_bullet_line_ratio", "too many lines that are short list items"),
    "too_many_ellipses": Rule("filters.max_ellipsis_line_ratio", "too many lines that end with an ellipsis"),
    "too_few_sentences": Rule("filters.min_sentence_line_ratio", "too few lines that end like a sentence"),
    "too_many_repeated_lines": Rule("filters.max_repeated_line_ratio", "too much text in repeated lines"),
    "too_many_repeated_paragraphs": Rule(
        "filters.max_repeated_paragraph_ratio", "too much text in repeated paragraphs"
    ),
    "too_repetitive": Rule("filters.min_distinct_word_ratio", "too few distinct words"),
    "one_pair_too_often": Rule("filters.max_top_pair_ratio", "one pair of words makes up too much of the text"),
    "too_many_repeated_runs": Rule("filters.max_repeated_run_ratio", "too many repeated runs of ten words"),
    "other_language": Rule("identify_language.kept", "a language that is not kept"),
    "blocked_content": Rule("blocklist.phrases", "too many phrases from the blocklist"),
    "personal_data": Rule("personal_data.action", "contains personal data"),
    "exact_duplicate": Rule("remove_duplicates", "the same text, labels and answers as another document"),
    "near_duplicate": Rule("near_duplicates.similarity", "almost the same text as another document"),
    "contaminated": Rule("contamination.max_overlap", "a training document that overlaps with held-out documents"),
    "beyond_label_budget": Rule("max_bytes_per_label", "exceeds the size limit of its label"),
    "normalized": Rule("normalize", "Unicode, control characters or white space were normalized"),
}
"""Every rule by its name in the ledger, except those that mask personal data, one for each kind."""

REASON_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("detail", pa.string()),
    ]
)
"""A row number in a shard and the fields of the :class:`Reason` for that document."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a document was dropped, or what was changed in it.

    Attributes:
        rule: name of the rule or of the change.
        score: the measured value, if the rule measures one.
        threshold: the configured limit, if the rule has one.
        detail: further information that a person needs to understand the decision.
    """

    rule: str
    score: float | None = None
    threshold: float | None = None
    detail: str | None = None


def below(rule: str, score: float, threshold: float) -> Reason | None:
    """The reason to drop a document whose score is below the threshold, else ``None``."""
    return Reason(rule, score, threshold) if score < threshold else None


def above(rule: str, score: float, threshold: float) -> Reason | None:
    """The reason to drop a document whose score is above the threshold, else ``None``."""
    return Reason(rule, score, threshold) if score > threshold else None


def reason_table(reasons: Iterable[tuple[int, Reason]]) -> pa.Table:
    """Row numbers and their reasons as a table of :data:`REASON_SCHEMA`."""
    rows = [(row, reason.rule, reason.score, reason.threshold, reason.detail) for row, reason in reasons]
    columns = list(zip(*rows, strict=True)) or [()] * len(REASON_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, REASON_SCHEMA, strict=True)]
    return pa.table(arrays, schema=REASON_SCHEMA)
