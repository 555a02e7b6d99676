"""The third pass of cleaning: what stays of a shard, analyzed, and what the ledger says of the rest."""

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
from lmcore.runtime.artifact_cache import complete_piece, piece_key
from lmcore.runtime.files import write_json
from lmcore.text.cleaning.filtered_shards import FilteredShard
from lmcore.text.cleaning.masked_columns import configured_mask, mask_rows
from lmcore.text.cleaning.statistics import shard_statistics
from lmcore.text.documents.document import CLEAN_SCHEMA, LEDGER_SCHEMA
from lmcore.text.documents.shards import DOCUMENTS, LEDGER, SUMMARY, shard_name, write_table

STATISTICS = "statistics.json"
"""What a shard has to tell of its documents."""
FINISHED_COLUMNS = ("row", "text", "target", "split", "language", "id", "n_bytes")


@dataclass(frozen=True, slots=True)
class Finishing:
    """A shard and what the first two passes decided about its documents."""

    shard: Path
    judged: FilteredShard
    drops: pa.Table
    config: CleanConfig

    @property
    def key(self) -> str:
        """The name of this piece of work."""
        decisions = json.dumps(self.drops.to_pylist())
        return piece_key("finish", self.judged.folder.name, decisions, self.config.pipeline, *self.config.annotations)


def finish_shard(finishing: Finishing, *, work: Path) -> Path:
    """The folder of a shard's clean documents, its part of the ledger and its counts, unless that is done."""
    return complete_piece(work, finishing.key, partial(_finish, finishing))


def prepare_finishing(language: str) -> None:
    """Load what :func:`finish_shard` needs for a language, which takes seconds."""
    from lmcore.text.words.analysis import spacy_tokenizer

    spacy_tokenizer(language)


def _finish(finishing: Finishing, folder: Path) -> None:
    # spaCy takes seconds to import, and only the process that computes needs it.
    from lmcore.text.linguistics.documents import analyze_documents

    raw = pq.read_table(finishing.shard)
    candidates = finishing.judged.candidates(FINISHED_COLUMNS)
    is_kept = pc.invert(pc.is_in(candidates["row"], finishing.drops["row"]))
    kept = candidates.filter(is_kept)
    drops = pa.concat_tables([finishing.judged.drops(), finishing.drops]).sort_by("row")
    if len(kept) + len(drops) != len(raw):
        raise AssertionError(f"{len(kept)} kept + {len(drops)} dropped documents are not {len(raw)}")
    changes = finishing.judged.changes()
    changes = changes.filter(pc.is_in(changes["row"], kept["row"]))
    analysis = analyze_documents(
        kept["text"].to_pylist(),
        kept["language"].to_pylist(),
        pipeline=finishing.config.pipeline,
        pipeline_language=finishing.config.language,
        annotations=finishing.config.annotations,
    )
    raw = mask_rows(raw, finishing.judged.drops(), finishing.judged.changes(), configured_mask(finishing.config))
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
        **{name: kept[name] for name in ("text", "target", "language", "n_bytes")},
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
                "label": row["label"],
                "documents": row["n_bytes_count"],
                "bytes": row["n_bytes_sum"],
                "words": row["n_words_sum"],
            }
            for row in by_label.to_pylist()
        ],
    }
