"""From raw to clean documents: the steps in order, and a ledger of every document they drop."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from lmcore.progress import progress
from lmcore.text.config import CleanConfig
from lmcore.text.documents import CLEAN_SCHEMA, LEDGER_SCHEMA, REASON_SCHEMA
from lmcore.text.cleaning.filters import Drop, first_failure
from lmcore.text.cleaning.normalize import normalize
from lmcore.text.workers import Workers
from lmcore.text.cleaning.selection import beyond_label_budget, exact_duplicates
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
    raw: list[str] = documents["text"].to_pylist()
    labels: list[str | None] = documents["label"].to_pylist()
    with Workers(n_workers) as workers:
        texts, drops = _normalize_and_filter(raw, config, workers)
        drops |= _select(texts, labels, config)
        kept = {row: text for row, text in texts.items() if row not in drops}
        if not kept:
            counts = Counter(drop.rule for drop in drops.values())
            raise ValueError(f"no document of {len(raw)} is left: {dict(counts)}; loosen clean.filters")
        analyses = _analyze(list(kept.values()), config.language, workers)
    if len(kept) + len(drops) != len(documents):
        raise AssertionError(f"{len(kept)} kept + {len(drops)} dropped documents are not {len(documents)}")
    return Cleaning(_kept_table(documents, kept, analyses, config), _ledger_table(documents, drops))


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
    raw: Sequence[str], config: CleanConfig, workers: Workers
) -> tuple[dict[int, str], dict[int, Drop]]:
    """Normalized texts that pass the filters, and the drops of those that do not, both by row."""
    outcomes: list[str | Drop] = []
    judge = partial(_normalize_and_filter_piece, config=config)
    with progress("Normalize and filter", len(raw), "documents") as work:
        for judged in workers.map(judge, _pieces(raw)):
            outcomes.extend(judged)
            work.advance(len(judged))
    rows = list(enumerate(outcomes))
    texts = {row: outcome for row, outcome in rows if not isinstance(outcome, Drop)}
    return texts, {row: outcome for row, outcome in rows if isinstance(outcome, Drop)}


def _normalize_and_filter_piece(raw: Sequence[str], config: CleanConfig) -> list[str | Drop]:
    texts = map(normalize, raw) if config.normalize else raw
    return [_first_failure(text, config) or text for text in texts]


def _first_failure(text: str, config: CleanConfig) -> Drop | None:
    if not text or text.isspace():
        return Drop("empty_text")
    return None if config.filters is None else first_failure(text, config.filters)


def _select(texts: dict[int, str], labels: Sequence[str | None], config: CleanConfig) -> dict[int, Drop]:
    """Drops that come from looking at all documents, by row."""
    ids = {row: document_id(text) for row, text in texts.items()}
    drops = exact_duplicates(ids) if config.remove_duplicates else {}
    distinct = {row: identity for row, identity in ids.items() if row not in drops}
    return drops | beyond_label_budget(distinct, labels, texts, config.max_bytes_per_label)


def _analyze(texts: Sequence[str], language: str, workers: Workers) -> pa.Table:
    pieces = []
    with progress("Tokens and sentences", len(texts), "documents") as work:
        for piece in workers.map(partial(_analyze_piece, language=language), _pieces(texts)):
            pieces.append(piece)
            work.advance(len(piece))
    return pa.concat_tables(pieces)


def _analyze_piece(texts: Sequence[str], language: str) -> pa.Table:
    # spaCy takes seconds to import, and only the process that computes needs it.
    from lmcore.text.linguistics.analysis import analyze

    return analyze(texts, language)


def _kept_table(documents: pa.Table, texts: dict[int, str], analyses: pa.Table, config: CleanConfig) -> pa.Table:
    table = documents.take(pa.array(texts, pa.int64()))
    targets = [target and (normalize(target) if config.normalize else target) for target in table["target"].to_pylist()]
    columns = {
        **{name: table[name] for name in table.column_names},
        "text": pa.array(texts.values(), pa.string()),
        # Where nothing is left of what the text was to become, there is nothing to learn.
        "target": pa.array((target or None for target in targets), pa.string()),
        "id": pa.array(map(document_id, texts.values()), pa.string()),
        "n_bytes": pa.array((len(text.encode()) for text in texts.values()), pa.int32()),
        **{name: analyses[name] for name in analyses.column_names},
    }
    return pa.table(columns, schema=CLEAN_SCHEMA).combine_chunks()


def _ledger_table(documents: pa.Table, drops: dict[int, Drop]) -> pa.Table:
    rows = sorted(drops)
    table = documents.take(pa.array(rows, pa.int64()))
    reasons = pa.Table.from_pylist([asdict(drops[row]) for row in rows], REASON_SCHEMA)
    columns = {name: some[name] for some in (table, reasons) for name in some.column_names}
    return pa.table(columns, schema=LEDGER_SCHEMA).combine_chunks()


def _pieces(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + DOCUMENTS_PER_PIECE] for start in range(0, len(texts), DOCUMENTS_PER_PIECE))
