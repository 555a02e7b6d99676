"""From raw to clean documents: the steps in order, and a ledger of every document they drop."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

import pyarrow as pa

from lmcore.progress import progress
from lmcore.text.config import CleanConfig, FilterConfig
from lmcore.text.documents import ANALYSIS_SCHEMA, CLEAN_SCHEMA, LEDGER_SCHEMA
from lmcore.text.filters import Drop, first_failure
from lmcore.text.normalize import normalize
from lmcore.text.parallel import map_in_order
from lmcore.text.selection import beyond_label_budget, exact_duplicates
from lmcore.text.split import document_id

# Neighbors share words: long pieces let a worker meet most of its words only once.
DOCUMENTS_PER_PIECE = 1_000


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What cleaning gives: the clean documents and the dropped ones, each in the order of the input."""

    kept: pa.Table
    ledger: pa.Table


def clean(documents: pa.Table, config: CleanConfig, *, n_workers: int) -> Cleaning:
    """Normalize, filter, remove exact duplicates, balance labels, find tokens and sentences.

    Args:
        documents: columns of :data:`lmcore.text.documents.RAW_SCHEMA`.
        config: language and thresholds.
        n_workers: processes; the result does not depend on it.

    Returns:
        Tables of :data:`CLEAN_SCHEMA` and :data:`LEDGER_SCHEMA`; every document is in exactly one of them.

    Raises:
        ValueError: if no document is left, or spaCy does not know the language.
    """
    texts, drops = _normalize_and_filter(documents["text"].to_pylist(), config.filters, n_workers)
    ids = {row: document_id(text) for row, text in texts.items()}
    labels = documents["label"].to_pylist()
    selections: list[Callable[[dict[int, str]], dict[int, Drop]]] = [
        exact_duplicates,
        partial(beyond_label_budget, labels=labels, texts=texts, budget=config.max_bytes_per_label),
    ]
    for select in selections:
        dropped = select(ids)
        drops |= dropped
        ids = {row: identity for row, identity in ids.items() if row not in dropped}
    if not ids:
        counts = Counter(drop.rule for drop in drops.values())
        raise ValueError(f"no document of {len(documents)} is left: {dict(counts)}; loosen clean.filters")
    cleaning = Cleaning(
        _clean_table(documents, ids, texts, config.language, n_workers), _ledger_table(documents, drops)
    )
    if len(cleaning.kept) + len(cleaning.ledger) != len(documents):
        raise AssertionError(f"{len(cleaning.kept)} kept + {len(cleaning.ledger)} dropped are not {len(documents)}")
    return cleaning


def summarize(cleaning: Cleaning) -> dict[str, Any]:
    """Counts of documents in and out, of drops by reason, and of what was kept by label."""
    kept, dropped = len(cleaning.kept), len(cleaning.ledger)
    columns = cleaning.kept.select(["label", "n_bytes", "n_words"])
    by_label = columns.group_by("label", use_threads=False).aggregate(
        [("n_bytes", "count"), ("n_bytes", "sum"), ("n_words", "sum")]
    )
    names = {"n_bytes_count": "documents", "n_bytes_sum": "bytes", "n_words_sum": "words"}
    rows = [{names.get(key, key): value for key, value in row.items()} for row in by_label.to_pylist()]
    return {
        "input": kept + dropped,
        "kept": kept,
        "dropped": dropped,
        "dropped_by_reason": dict(sorted(Counter(cleaning.ledger["rule"].to_pylist()).items())),
        "bytes": sum(row["bytes"] for row in rows),
        "words": sum(row["words"] for row in rows),
        "labels": sorted(rows, key=lambda row: row["label"] or ""),
    }


def _normalize_and_filter(
    raw: Sequence[str], config: FilterConfig, n_workers: int
) -> tuple[dict[int, str], dict[int, Drop]]:
    """Normalized texts that pass the filters, and the drops of those that do not, both by row."""
    texts: dict[int, str] = {}
    drops: dict[int, Drop] = {}
    judge = partial(_normalize_and_filter_piece, config=config)
    with progress("Normalize and filter", len(raw), "documents") as work:
        for judged in map_in_order(judge, _pieces(raw), n_workers=n_workers):
            for row, outcome in enumerate(judged, start=work.done):
                if isinstance(outcome, Drop):
                    drops[row] = outcome
                else:
                    texts[row] = outcome
            work.advance(len(judged))
    return texts, drops


def _normalize_and_filter_piece(raw: Sequence[str], config: FilterConfig) -> list[str | Drop]:
    texts = map(normalize, raw)
    return [first_failure(text, config) or text for text in texts]


def _clean_table(
    documents: pa.Table, ids: dict[int, str], texts: dict[int, str], language: str, n_workers: int
) -> pa.Table:
    kept = [texts[row] for row in ids]
    analyze = partial(_analyze_piece, language=language)
    analyses = []
    with progress("Tokens and sentences", len(kept), "documents") as work:
        for piece in map_in_order(analyze, _pieces(kept), n_workers=n_workers):
            analyses.append(piece)
            work.advance(len(piece))
    table = documents.take(pa.array(ids, pa.int64()))
    columns = {
        **{name: table[name] for name in table.column_names},
        "text": pa.array(kept, pa.string()),
        "id": pa.array(ids.values(), pa.string()),
        "n_bytes": pa.array([len(text.encode()) for text in kept], pa.int32()),
    }
    for field in ANALYSIS_SCHEMA:
        columns[field.name] = pa.concat_tables(analyses)[field.name]
    return pa.table(columns, schema=CLEAN_SCHEMA).combine_chunks()


def _analyze_piece(texts: Sequence[str], language: str) -> pa.Table:
    # spaCy takes seconds to import, and only the process that computes needs it.
    from lmcore.text.linguistics import analyze

    return analyze(texts, language)


def _ledger_table(documents: pa.Table, drops: dict[int, Drop]) -> pa.Table:
    rows = sorted(drops)
    table = documents.take(pa.array(rows, pa.int64()))
    columns = {name: table[name] for name in table.column_names}
    for field in list(LEDGER_SCHEMA)[len(columns) :]:
        values: Iterable[Any] = map(attrgetter(field.name), map(drops.__getitem__, rows))
        columns[field.name] = pa.array(values, field.type)
    return pa.table(columns, schema=LEDGER_SCHEMA).combine_chunks()


def _pieces(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + DOCUMENTS_PER_PIECE] for start in range(0, len(texts), DOCUMENTS_PER_PIECE))
