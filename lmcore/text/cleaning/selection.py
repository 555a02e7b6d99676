"""The second pass of cleaning: which documents are taken when not all are wanted, decided by looking at all of them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lmcore.text.cleaning.config import CleanConfig
from lmcore.text.cleaning.judged_shards import JudgedShard
from lmcore.text.cleaning.reasons import REASON_SCHEMA
from lmcore.text.split import uniform

COLUMNS = ("row", "label", "id", "n_bytes")
Rows = npt.NDArray[np.int64]


def select(shards: Sequence[JudgedShard], config: CleanConfig) -> list[pa.Table]:
    """What to drop of every shard's candidates, as tables of :data:`lmcore.text.cleaning.reasons.REASON_SCHEMA`.

    Takes less than a hundred bytes of memory a document, whatever their length.
    """
    tables = [shard.candidates(COLUMNS) for shard in shards]
    shard_of = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    documents = pa.concat_tables(tables).combine_chunks()
    stays = np.ones(len(documents), bool)
    reasons = [REASON_SCHEMA.empty_table()]

    def drop(some: pa.Table) -> None:
        """Note a step's decisions, whose rows are those of ``documents``."""
        stays[some["row"].to_numpy()] = False
        reasons.append(some)

    if config.remove_duplicates:
        drop(exact_duplicates(documents["id"]))
    if config.max_bytes_per_label is not None:
        drop(beyond_label_budget(documents, np.flatnonzero(stays), config.max_bytes_per_label))
    return _by_shard(pa.concat_tables(reasons), documents["row"].to_numpy(), shard_of, len(shards))


def exact_duplicates(ids: pa.ChunkedArray) -> pa.Table:
    """Drop the rows whose text an earlier row has; the detail names the document that stays.

    Args:
        ids: of the documents, binary, in their order.
    """
    table = pa.table({"id": ids, "row": np.arange(len(ids))})
    first = table.group_by("id", use_threads=False).aggregate([("row", "min")])
    is_repeated = np.ones(len(ids), bool)
    is_repeated[first["row_min"].to_numpy()] = False
    rows = np.flatnonzero(is_repeated)
    details = [f"the text of {identity.hex()}" for identity in ids.take(pa.array(rows)).to_pylist()]
    return _reasons(rows, "exact_duplicate", details=details)


def beyond_label_budget(documents: pa.Table, rows: Rows, budget: int) -> pa.Table:
    """Drop what exceeds a label's share of the corpus; documents without a label are one more label.

    A label's documents are taken in the order of a hash of their id until their sum exceeds the budget: a choice by
    content, the same wherever the documents stand. The score is what the label would hold with the document in bytes.

    Args:
        documents: with the columns ``id``, ``label`` and ``n_bytes``.
        rows: that take part.
        budget: bytes of UTF-8 for one label.
    """
    n_bytes = documents["n_bytes"].to_numpy().astype(np.int64)
    labels = documents["label"].combine_chunks().dictionary_encode(null_encoding="encode").indices.to_numpy()
    beyond, totals = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for label in np.flatnonzero(np.bincount(labels[rows], n_bytes[rows]) > budget):
        own = rows[labels[rows] == label]
        identities = documents["id"].take(pa.array(own)).to_pylist()
        own = own[np.argsort([uniform(identity.hex(), b"balance") for identity in identities], kind="stable")]
        sums = np.cumsum(n_bytes[own])
        beyond.append(own[sums > budget])
        totals.append(sums[sums > budget])
    return _reasons(np.concatenate(beyond), "beyond_label_budget", scores=np.concatenate(totals), threshold=budget)


def _reasons(
    rows: Rows,
    rule: str,
    *,
    scores: npt.NDArray[np.generic] | None = None,
    threshold: float | None = None,
    details: Sequence[str] | None = None,
) -> pa.Table:
    """A table of reasons that share their rule."""
    nothing = [None] * len(rows)
    columns = [
        pa.array(rows, pa.int32()),
        pa.array([rule] * len(rows), pa.string()),
        pa.array(nothing if scores is None else scores.astype(np.float64), pa.float64()),
        pa.array([threshold] * len(rows), pa.float64()),
        pa.array(details or nothing, pa.string()),
    ]
    return pa.table(columns, schema=REASON_SCHEMA)


def _by_shard(reasons: pa.Table, row_in_shard: Rows, shard_of: Rows, n_shards: int) -> list[pa.Table]:
    """Divide reasons by the shard of their documents, with the rows that these have there, in order."""
    rows = reasons["row"].to_numpy()
    order = np.argsort(rows, kind="stable")
    reasons, rows = reasons.take(pa.array(order)), rows[order]
    reasons = reasons.set_column(0, REASON_SCHEMA.field("row"), pa.array(row_in_shard[rows], pa.int32()))
    borders = np.searchsorted(shard_of[rows], np.arange(n_shards + 1))
    return [reasons.slice(start, end - start) for start, end in pairwise(borders)]
