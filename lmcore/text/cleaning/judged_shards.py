"""The first pass of cleaning: every document of a shard judged alone, with what a comparison of all needs of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.files import file_digest
from lmcore.pieces import complete_piece, piece_key
from lmcore.text.cleaning.config import CleanConfig
from lmcore.text.cleaning.judging import judge, revise
from lmcore.text.cleaning.reasons import reason_table
from lmcore.text.config import SplitFractions
from lmcore.text.shards import write_table
from lmcore.text.split import document_id, split_of

CANDIDATES, DROPS, CHANGES = "candidates.parquet", "drops.parquet", "changes.parquet"

CANDIDATE_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("target", pa.string()),
        pa.field("label", pa.string()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("id", pa.binary(16), nullable=False),
        pa.field("n_bytes", pa.int32(), nullable=False),
    ]
)
"""Documents that nothing speaks against so far: row in their shard, text as it will be, and where it will belong."""


@dataclass(frozen=True, slots=True)
class JudgedShard:
    """The folder that the first pass leaves for a shard."""

    folder: Path

    def candidates(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of :data:`CANDIDATE_SCHEMA`, or some of their columns."""
        return pq.read_table(self.folder / CANDIDATES, columns=columns and list(columns))

    def drops(self) -> pa.Table:
        """Rows of :data:`ROW_REASON_SCHEMA`: the documents that no longer take part."""
        return pq.read_table(self.folder / DROPS)

    def changes(self) -> pa.Table:
        """Rows of :data:`ROW_REASON_SCHEMA`: what was changed in documents, several reasons for one where it is so."""
        return pq.read_table(self.folder / CHANGES)


def judge_shard(shard: Path, *, config: CleanConfig, fractions: SplitFractions, work: Path) -> JudgedShard:
    """Judge the documents of a raw shard, unless that is done."""
    key = piece_key("judge", config, fractions, file_digest(shard))
    return JudgedShard(complete_piece(work, key, partial(_judge, shard, config, fractions)))


def _judge(shard: Path, config: CleanConfig, fractions: SplitFractions, folder: Path) -> None:
    raw = pq.read_table(shard, columns=["text", "target", "label", "split"]).to_pydict()
    judgements = [judge(text, config) for text in raw["text"]]
    kept = [row for row, judgement in enumerate(judgements) if judgement.drop is None]
    texts = [judgements[row].text for row in kept]
    identities = [document_id(text) for text in texts]
    columns = {
        "row": kept,
        "text": texts,
        "target": [revise(raw["target"][row], config) for row in kept],
        "label": [raw["label"][row] for row in kept],
        "split": [
            raw["split"][row] or split_of(identity, fractions) for row, identity in zip(kept, identities, strict=True)
        ],
        "language": [judgements[row].language for row in kept],
        "id": [bytes.fromhex(identity) for identity in identities],
        "n_bytes": [len(text.encode()) for text in texts],
    }
    write_table(folder / CANDIDATES, pa.table(columns, schema=CANDIDATE_SCHEMA))
    drops = ((row, judgement.drop) for row, judgement in enumerate(judgements) if judgement.drop)
    write_table(folder / DROPS, reason_table(drops))
    changes = ((row, change) for row in kept for change in judgements[row].changes)
    write_table(folder / CHANGES, reason_table(changes))
