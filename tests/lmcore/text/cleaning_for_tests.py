"""Rules of cleaning as a test names them: what it does not name lets everything pass."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lmcore.config.clean import CleanConfig, FilterConfig
from lmcore.text.cleaning.corpus import NO_LABEL, Documents
from lmcore.text.split import document_id

LENIENT: dict[str, Any] = {
    "min_lines_for_ratios": 0,
    "min_words_for_ratios": 0,
    "min_words_for_repetition": 0,
    "min_characters": 0,
    "min_words": 0,
    "min_letter_ratio": 0.0,
    "min_mean_word_length": 0.0,
    "max_mean_word_length": 1e9,
    "min_alphabetic_word_ratio": 0.0,
    "max_symbols_per_word": 1e9,
    "min_distinct_stop_words": 0,
    "max_bullet_line_ratio": 1.0,
    "max_ellipsis_line_ratio": 1.0,
    "min_sentence_line_ratio": 0.0,
    "max_repeated_line_ratio": 1.0,
    "max_repeated_paragraph_ratio": 1.0,
    "min_distinct_word_ratio": 0.0,
    "max_top_pair_ratio": 1.0,
    "max_repeated_run_ratio": 1.0,
    "placeholders": [],
}
NOTHING: dict[str, Any] = {
    "language": "en",
    "normalize": True,
    "identify_language": None,
    "filters": None,
    "blocklist": None,
    "personal_data": None,
    "remove_duplicates": True,
    "near_duplicates": None,
    "contamination": None,
    "max_bytes_per_label": None,
    "pipeline": None,
    "annotations": [],
}


def configure_filters(**thresholds: Any) -> FilterConfig:
    return FilterConfig.model_validate_json(json.dumps(LENIENT | thresholds))


def configure_cleaning(**rules: Any) -> CleanConfig:
    return CleanConfig.model_validate_json(json.dumps(NOTHING | rules))


def documents_of(
    texts: Sequence[str],
    *,
    labels: Sequence[str | None] | None = None,
    splits: Sequence[str] | None = None,
    sources: Sequence[int] | None = None,
    answers: Sequence[int] | None = None,
    given: Sequence[bool] | None = None,
) -> Documents:
    """What is known of texts when they are compared; all without a label and for training unless it is said."""
    numbers = {label: number for number, label in enumerate(sorted({str(label) for label in labels or []}))}
    n_texts = len(texts)
    return Documents(
        ids=pa.array([bytes.fromhex(document_id(text)) for text in texts], pa.binary(16)),
        answers=np.array(answers or [0] * n_texts, np.uint64),
        labels=np.array(
            [NO_LABEL if label is None else numbers[label] for label in labels or [None] * n_texts], np.int32
        ),
        sources=np.array(sources or [0] * n_texts, np.int32),
        n_bytes=np.array([len(text.encode()) for text in texts], np.int32),
        is_evaluation=np.array([split != "train" for split in splits or ["train"] * n_texts], bool),
        is_split_given=np.array(given or [False] * n_texts, bool),
    )
