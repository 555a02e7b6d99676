"""The third pass of cleaning: writes the kept documents of a shard with their analysis, and its part of the ledger."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.config.clean import CleanConfig
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.files import write_json
from lmcore.text.cleaning.filtered_shards import CONTENTS, FilteredShard
from lmcore.text.cleaning.masked_columns import configured_mask, mask_rows
from lmcore.text.cleaning.statistics import shard_statistics
from lmcore.text.documents.document import CLEAN_SCHEMA, LEDGER_SCHEMA
from lmcore.text.documents.shards import DOCUMENTS, LEDGER, SUMMARY, shard_name, write_table

STATISTICS = "statistics.json"
"""Name of the file with a shard's, or a corpus's, statistics."""
CANDIDATE_COLUMNS = ("row", *CONTENTS, "split", "language", "id", "n_bytes")


@dataclass(frozen=True, slots=True)
class DecidedShard:
    """A raw shard and what the first two passes decided about its documents.

    Attributes:
        raw: a Parquet file of raw documents.
        filtered: the result of the first pass.
        drops: the candidates that the second pass drops.
        config: the cleaning rules.
    """

    raw: Path
    filtered: FilteredShard
    drops: pa.Table
    config: CleanConfig

    @property
    def parts(self) -> tuple[str | None, ...]:
        """Everything that the clean shard depends on, except code."""
        decisions = json.dumps(self.drops.to_pylist())
        return "clean", self.filtered.folder.name, decisions, self.config.pipeline, *self.config.annotations


def write_clean_shard(decided: DecidedShard, *, cache: ArtifactCache) -> Path:
    """Write a shard's clean documents, ledger and statistics, unless they are in the cache; returns their folder."""
    return cache.get_or_compute(cache.key(*decided.parts), partial(_write, decided))


def preload_tokenizer(language: str) -> None:
    """Load the spaCy tokenizer that :func:`write_clean_shard` needs for a language, which takes seconds."""
    from lmcore.text.words.analysis import spacy_tokenizer

    spacy_tokenizer(language)


def _write(decided: DecidedShard, folder: Path) -> None:
    # spaCy takes seconds to import, and only the process that computes needs it.
    from lmcore.text.linguistics.documents import analyze_documents

    config, filtered = decided.config, decided.filtered
    raw = pq.read_table(decided.raw)
    candidates = filtered.candidates(CANDIDATE_COLUMNS)
    is_kept = pc.invert(pc.is_in(candidates["row"], decided.drops["row"]))
    kept = candidates.filter(is_kept)
    drops = pa.concat_tables([filtered.drops(), decided.drops]).sort_by("row")
    if len(kept) + len(drops) != len(raw):
        raise AssertionError(f"{len(kept)} kept and {len(drops)} dropped documents do not add up to {len(raw)}")
    changes = filtered.changes()
    changes = changes.filter(pc.is_in(changes["row"], kept["row"]))
    analysis = analyze_documents(
        kept["text"].to_pylist(),
        kept["language"].to_pylist(),
        pipeline=config.pipeline,
        pipeline_language=config.language,
        annotations=config.annotations,
    )
    raw = mask_rows(raw, filtered.drops(), filtered.changes(), configured_mask(config))
    documents = _clean_table(raw.take(kept["row"]), kept, analysis)
    ids = dict(zip(kept["row"].to_pylist(), documents["id"].to_pylist(), strict=True))
    ledger = pa.concat_tables([_ledger_table(raw, drops, "dropped", {}), _ledger_table(raw, changes, "changed", ids)])
    (folder / DOCUMENTS).mkdir()
    if len(documents):
        write_table(folder / DOCUMENTS / shard_name(0), documents)
    write_table(folder / LEDGER, ledger)
    write_json(folder / SUMMARY, _summarize(documents, drops, changes))
    write_json(folder / STATISTICS, shard_statistics(documents, kept["split"]))


def _clean_table(raw: pa.Table, kept: pa.Table, analysis: pa.Table) -> pa.Table:
    columns = {
        **{name: raw[name] for name in raw.column_names},
        **{name: kept[name] for name in (*CONTENTS, "language", "n_bytes")},
        "id": pa.array([identity.hex() for identity in kept["id"].to_pylist()], pa.string()),
        **{name: analysis[name] for name in analysis.column_names},
    }
    return pa.table([columns[name] for name in CLEAN_SCHEMA.names], schema=CLEAN_SCHEMA).combine_chunks()


def _ledger_table(raw: pa.Table, reasons: pa.Table, action: str, ids: Mapping[int, str]) -> pa.Table:
    documents = raw.take(reasons["row"])
    columns = {
        **{name: documents[name] for name in documents.column_names},
        **{name: reasons[name] for name in reasons.column_names},
        "action": pa.array([action] * len(reasons), pa.string()),
        "id": pa.array([ids.get(row) for row in reasons["row"].to_pylist()], pa.string()),
    }
    return pa.table([columns[name] for name in LEDGER_SCHEMA.names], schema=LEDGER_SCHEMA)


def _summarize(documents: pa.Table, drops: pa.Table, changes: pa.Table) -> dict[str, Any]:
    by_label = documents.group_by("label", use_threads=False).aggregate(
        [("n_bytes", "count"), ("n_bytes", "sum"), ("n_words", "sum")]
    )
    return {
        "dropped_by_reason": Counter(drops["rule"].to_pylist()),
        "changed_by_reason": Counter(changes["rule"].to_pylist()),
        "labels": [
            {
                "label": group["label"],
                "documents": group["n_bytes_count"],
                "bytes": group["n_bytes_sum"],
                "words": group["n_words_sum"],
            }
            for group in by_label.to_pylist()
        ],
    }
