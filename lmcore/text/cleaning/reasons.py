"""Why a document was dropped or changed: as a value, and as rows of a table."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

SETTINGS = {
    "too_short": "filters.min_characters",
    "too_few_words": "filters.min_words",
    "placeholder_text": "filters.placeholders",
    "too_few_letters": "filters.min_letter_ratio",
    "words_too_short": "filters.min_mean_word_length",
    "words_too_long": "filters.max_mean_word_length",
    "too_few_words_with_letters": "filters.min_alphabetic_word_ratio",
    "too_many_symbols": "filters.max_symbols_per_word",
    "too_few_stop_words": "filters.min_distinct_stop_words",
    "too_many_bullets": "filters.max_bullet_line_ratio",
    "too_many_ellipses": "filters.max_ellipsis_line_ratio",
    "too_few_sentences": "filters.min_sentence_line_ratio",
    "too_many_repeated_lines": "filters.max_repeated_line_ratio",
    "too_many_repeated_paragraphs": "filters.max_repeated_paragraph_ratio",
    "too_repetitive": "filters.min_distinct_word_ratio",
    "one_pair_too_often": "filters.max_top_pair_ratio",
    "too_many_repeated_runs": "filters.max_repeated_run_ratio",
    "other_language": "identify_language.kept",
    "blocked_content": "blocklist.phrases",
    "personal_data": "personal_data.action",
    "exact_duplicate": "remove_duplicates",
    "near_duplicate": "near_duplicates.similarity",
    "contaminated": "contamination.max_overlap",
    "beyond_label_budget": "max_bytes_per_label",
}
"""The setting of :class:`lmcore.text.cleaning.config.CleanConfig` by which each rule decides to drop a document."""

REASON_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("detail", pa.string()),
    ]
)
"""A row of a shard and what was decided about it: also the fields of :class:`Reason`."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a document was dropped, or what was changed in it.

    Attributes:
        rule: name of the failure or the change.
        score: what was measured, where the rule measures something.
        threshold: from ``params.yaml``, where the rule has one.
        detail: anything a person needs besides to follow the decision.
    """

    rule: str
    score: float | None = None
    threshold: float | None = None
    detail: str | None = None


def reason_table(reasons: Iterable[tuple[int, Reason]]) -> pa.Table:
    """Rows of a shard with their reasons, as a table."""
    rows = [(row, reason.rule, reason.score, reason.threshold, reason.detail) for row, reason in reasons]
    columns = list(zip(*rows, strict=True)) or [()] * len(REASON_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, REASON_SCHEMA, strict=True)]
    return pa.table(arrays, schema=REASON_SCHEMA)
