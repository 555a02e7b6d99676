"""Cleaning in tests: configurations that pass everything but what a test names, and folders of raw documents."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.config.clean import CleanConfig, FilterConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.files import write_json
from lmcore.runtime.workers import Workers
from lmcore.text.clean import clean
from lmcore.text.cleaning.corpus import NO_LABEL, Documents
from lmcore.text.documents.document import RAW_SCHEMA, READ_ERROR_SCHEMA, Document, ReadError, to_table
from lmcore.text.documents.shards import read_documents, shard_name, write_table
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
    """Documents as the comparison sees them; without labels and for training unless given."""
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


CONFIG = configure_cleaning(
    filters=LENIENT | {"min_characters": 3, "min_words": 1, "min_letter_ratio": 0.3, "max_mean_word_length": 20.0},
    max_bytes_per_label=40,
)
ORIGIN = {
    "attribution": "Made up here.",
    "license": "CC0-1.0",
    "weight": 1.0,
    "revision": "v1",
    "files": 2,
    "file_bytes": 1234,
    "sha256": "ab" * 32,
}
UNLIMITED = CONFIG.model_copy(update={"max_bytes_per_label": None})
FRACTIONS = SplitFractions(validation=0.1, test=0.1)
KEPT = "This document is kept."
DOCUMENT = Document(KEPT, "a", "source", None, "a.txt", None, "file", 1, None, None)
EVERYTHING = configure_cleaning(
    filters=LENIENT,
    near_duplicates={"similarity": 0.8, "shingle_words": 2},
    contamination={"ngram_words": 3, "max_overlap": 0.5, "common_documents": 10},
    personal_data={"action": "mask", "kinds": ["email"], "phone_region": None},
    blocklist={"phrases": ["number three"], "max_occurrences": 1, "words_per_occurrence": 500},
    identify_language={"kept": ["en"], "min_probability": 0.9, "min_characters": 1_000},
)


def write_raw(raw: Path, documents: list[Document], *, per_shard: int = 3, errors: tuple[ReadError, ...] = ()) -> None:
    """Write documents as collection does, with ``per_shard`` of them in each shard."""
    (raw / "documents").mkdir(parents=True)
    for number, start in enumerate(range(0, len(documents), per_shard)):
        write_table(raw / "documents" / shard_name(number), to_table(documents[start : start + per_shard], RAW_SCHEMA))
    write_table(raw / "read_errors.parquet", to_table(errors, READ_ERROR_SCHEMA))
    source = {"documents": len(documents), "bytes": 99, "labels": {}, "origin": ORIGIN}
    write_json(raw / "summary.json", {"sources": {"source": source}})


def run(folder: Path, config: CleanConfig = UNLIMITED, *, n_workers: int = 1) -> dict[str, Any]:
    """Clean ``folder / "raw"`` into ``folder / "clean"``; returns the summary."""
    with Workers(n_workers) as workers:
        return clean(
            folder / "raw",
            folder / "clean",
            config,
            FRACTIONS,
            cache=ArtifactCache(folder / "cache", ""),
            workers=workers,
        )


def ledger(folder: Path, action: str = "dropped") -> list[dict[str, Any]]:
    """The rows of the ledger with this action."""
    rows = pq.read_table(folder / "clean/ledger.parquet").to_pylist()
    return [row for row in rows if row["action"] == action]


def clean_texts(folder: Path, *texts: str, config: CleanConfig = UNLIMITED) -> pa.Table:
    """Write and clean documents with these texts; returns the clean documents."""
    write_raw(folder / "raw", [replace(DOCUMENT, text=text, line=line) for line, text in enumerate(texts, start=1)])
    run(folder, config)
    return read_documents(folder / "clean")
