"""The second pass of cleaning: which documents are taken when not all are wanted, decided by looking at all of them."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.text.cleaning.config import CleanConfig, ContaminationConfig
from lmcore.text.cleaning.contamination import overlaps
from lmcore.text.cleaning.judged_shards import JudgedShard
from lmcore.text.cleaning.near_duplicates import near_duplicates
from lmcore.text.cleaning.reasons import REASON_SCHEMA
from lmcore.text.split import uniform

COLUMNS = ("row", "label", "split", "id", "n_bytes", "signature")
Rows = npt.NDArray[np.int64]


def select(shards: Sequence[JudgedShard], config: CleanConfig) -> list[pa.Table]:
    """What to drop of every shard's candidates, as tables of :data:`lmcore.text.cleaning.reasons.REASON_SCHEMA`.

    Takes less than three hundred bytes of memory a document, whatever their length.
    """
    corpus = _Corpus(shards)
    documents = corpus.documents
    stays = np.ones(len(documents), bool)
    reasons = [REASON_SCHEMA.empty_table()]

    def drop(some: pa.Table) -> None:
        """Note a step's decisions, whose rows are those of ``documents``."""
        stays[some["row"].to_numpy()] = False
        reasons.append(some)

    if config.remove_duplicates:
        drop(exact_duplicates(documents))
    if config.near_duplicates is not None:
        drop(near_duplicates(documents, np.flatnonzero(stays), corpus.texts_of, config.near_duplicates))
    if config.contamination is not None:
        drop(contaminated(corpus, stays, config.contamination))
    if config.max_bytes_per_label is not None:
        drop(beyond_label_budget(documents, np.flatnonzero(stays), config.max_bytes_per_label))
    return corpus.by_shard(pa.concat_tables(reasons))


class _Corpus:
    """The candidates of all shards, one behind the other, without their texts.

    Attributes:
        documents: columns of :data:`CANDIDATE_SCHEMA`.
        is_evaluation: bool (n_documents,).
    """

    def __init__(self, shards: Sequence[JudgedShard]) -> None:
        self._shards = shards
        tables = [shard.candidates(COLUMNS) for shard in shards]
        self._starts = np.cumsum([0, *map(len, tables)])
        self.documents = pa.concat_tables(tables).combine_chunks()
        self.is_evaluation = pc.not_equal(self.documents["split"], "train").to_numpy()

    def texts_of(self, rows: Rows) -> list[str]:
        """The texts of some documents, in the order of ``rows``."""
        texts = np.empty(len(rows), object)
        for number in np.unique(self._shard_of(rows)):
            here = np.flatnonzero(self._shard_of(rows) == number)
            column = self._shards[number].candidates(["text"])["text"]
            texts[here] = column.take(pa.array(rows[here] - self._starts[number])).to_pylist()
        return list(texts)

    def runs(self) -> Iterator[pa.ListArray]:
        """The runs of words of each shard's documents."""
        for shard in self._shards:
            yield shard.runs()

    def divide(self, values: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
        """What is known of all documents, by shard."""
        return np.split(values, self._starts[1:-1])

    def by_shard(self, reasons: pa.Table) -> list[pa.Table]:
        """Reasons by the shard of their documents, with the rows that these have there, in order."""
        rows = reasons["row"].to_numpy()
        order = np.argsort(rows, kind="stable")
        reasons, rows = reasons.take(pa.array(order)), rows[order]
        own_rows = self.documents["row"].to_numpy()[rows]
        reasons = reasons.set_column(0, REASON_SCHEMA.field("row"), pa.array(own_rows, pa.int32()))
        return [reasons.slice(start, end - start) for start, end in pairwise(np.searchsorted(rows, self._starts))]

    def _shard_of(self, rows: Rows) -> Rows:
        return np.searchsorted(self._starts, rows, side="right") - 1


def exact_duplicates(documents: pa.Table) -> pa.Table:
    """Drop the rows whose text another row has: the first stays, or the first that is held out.

    The detail names the document that stays.

    Args:
        documents: with the columns ``id`` and ``split``, in their order.
    """
    is_training = pc.equal(documents["split"], "train").to_numpy().astype(np.int64)
    # Training documents stand behind all that are held out.
    table = pa.table({"id": documents["id"], "place": np.arange(len(documents)) + is_training * len(documents)})
    first = table.group_by("id", use_threads=False).aggregate([("place", "min")])
    is_repeated = np.ones(len(documents), bool)
    is_repeated[first["place_min"].to_numpy() % len(documents)] = False
    rows = np.flatnonzero(is_repeated)
    details = [f"the text of {identity.hex()}" for identity in documents["id"].take(pa.array(rows)).to_pylist()]
    return _reasons(rows, "exact_duplicate", details=details)


def contaminated(corpus: _Corpus, stays: npt.NDArray[np.bool_], config: ContaminationConfig) -> pa.Table:
    """Drop training documents that have more than ``max_overlap`` of their n-grams in common with held-out ones."""
    is_evaluation = corpus.is_evaluation & stays
    shares = overlaps(corpus.runs, corpus.divide(is_evaluation))
    rows = np.flatnonzero(~corpus.is_evaluation & stays & (shares > config.max_overlap))
    return _reasons(rows, "contaminated", scores=shares[rows], threshold=config.max_overlap)


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
