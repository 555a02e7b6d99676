"""Rules of cleaning as a test names them: what it does not name lets everything pass."""

import json
from typing import Any

from lmcore.text.cleaning.config import CleanConfig, FilterConfig

LENIENT: dict[str, Any] = {
    "min_characters": 0,
    "min_words": 0,
    "min_letter_share": 0.0,
    "min_mean_word_length": 0.0,
    "max_mean_word_length": 1e9,
    "min_share_of_words_with_letters": 0.0,
    "max_symbols_per_word": 1e9,
    "min_distinct_stop_words": 0,
    "max_bullet_line_share": 1.0,
    "max_ellipsis_line_share": 1.0,
    "min_sentence_line_share": 0.0,
    "max_repeated_line_share": 1.0,
    "max_repeated_paragraph_share": 1.0,
    "min_distinct_word_share": 0.0,
    "max_top_pair_share": 1.0,
    "max_repeated_run_share": 1.0,
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
