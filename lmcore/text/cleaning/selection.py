"""The second pass of cleaning: compares all documents, and drops duplicates, contamination and excess text."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lmcore.config.clean import CleanConfig, ContaminationConfig
from lmcore.text.cleaning.contamination import overlaps
from lmcore.text.cleaning.corpus import NO_LABEL, Corpus, Documents, Rows
from lmcore.text.cleaning.filtered_shards import FilteredShard
from lmcore.text.cleaning.near_duplicates import near_duplicates
from lmcore.text.cleaning.reasons import REASON_SCHEMA
from lmcore.text.split import uniform


def select_drops(shards: Sequence[FilteredShard], config: CleanConfig) -> list[pa.Table]:
    """The candidates to drop from each shard, as tables of :data:`lmcore.text.cleaning.reasons.REASON_SCHEMA`.

    Needs less than two hundred bytes of memory per document, whatever their length.
    """
    corpus = Corpus(shards)
    documents = corpus.documents
    is_kept = np.ones(len(documents.ids), bool)
    reasons = [REASON_SCHEMA.empty_table()]

    def drop(dropped: pa.Table) -> None:
        """Record the decisions of one rule, whose rows are those of ``documents``."""
        is_kept[dropped["row"].to_numpy()] = False
        reasons.append(dropped)

    if config.remove_duplicates:
        drop(exact_duplicates(documents))
    if config.near_duplicates is not None:
        rows = np.flatnonzero(is_kept)
        drop(near_duplicates(documents, rows, corpus.signatures_of, corpus.texts_of, config.near_duplicates))
    if config.contamination is not None:
        drop(contaminated(corpus, is_kept, config.contamination))
    if config.max_bytes_per_label is not None:
        for rows, budget in _budgets(corpus, config.max_bytes_per_label):
            drop(beyond_label_budget(documents, rows[is_kept[rows]], budget))
    return corpus.reasons_by_shard(pa.concat_tables(reasons))


def exact_duplicates(documents: Documents) -> pa.Table:
    """Drop all but one of the documents with the same text, labels, target and rejected answer.

    The first held-out copy is kept, or else the first copy. The detail names the document that is kept.
    """
    # Only documents with equal id prefixes can be equal, and prefixes take little memory to compare.
    prefixes = documents.id_prefixes()
    order = np.argsort(prefixes, kind="stable")
    equals_previous = np.append(False, np.diff(prefixes[order]) == 0)[: len(order)]
    candidates = np.sort(order[equals_previous | np.roll(equals_previous, -1)])
    # Held-out documents rank before all training documents.
    ranks = np.arange(len(candidates)) + ~documents.is_evaluation[candidates] * len(candidates)
    ids, answers = documents.ids.take(pa.array(candidates)), documents.answers[candidates]
    table = pa.table({"id": ids, "answer": answers, "rank": ranks})
    first = table.group_by(["id", "answer"], use_threads=False).aggregate([("rank", "min")])
    is_repeated = np.ones(len(candidates), bool)
    is_repeated[first["rank_min"].to_numpy() % max(len(candidates), 1)] = False
    rows = candidates[is_repeated]
    details = [f"the text of {identity.hex()}" for identity in documents.ids.take(pa.array(rows)).to_pylist()]
    return _reasons(rows, "exact_duplicate", details=details)


def contaminated(corpus: Corpus, is_kept: npt.NDArray[np.bool_], config: ContaminationConfig) -> pa.Table:
    """Drop training documents that share more than ``max_overlap`` of their n-grams with held-out documents.

    Args:
        corpus: all documents.
        is_kept: bool (n_documents,), the documents that take part.
        config: the limits.
    """
    is_evaluation = corpus.documents.is_evaluation
    is_training = ~is_evaluation & is_kept
    ratios = overlaps(
        corpus.runs, corpus.by_shard(is_evaluation & is_kept), corpus.by_shard(is_training), config.common_documents
    )
    rows = np.flatnonzero(is_training & (ratios > config.max_overlap))
    return _reasons(rows, "contaminated", scores=ratios[rows], threshold=config.max_overlap)


def beyond_label_budget(documents: Documents, rows: Rows, budget: int) -> pa.Table:
    """Drop the documents that exceed the size limit of their label.

    A label's documents are taken in the order of a hash of their ids, skipping those that no longer fit, so that the
    choice does not depend on the order of the documents. Documents without a label are kept, and so are documents that
    their source holds out. The score is the size in bytes that the label would have with the document.

    Args:
        documents: all documents.
        rows: the documents that take part.
        budget: bytes of UTF-8 for each label.
    """
    is_limited = (documents.labels != NO_LABEL) & ~(documents.is_evaluation & documents.is_split_given)
    rows = rows[is_limited[rows]]
    labels = documents.labels[rows]
    beyond, totals = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for label in np.flatnonzero(np.bincount(labels, documents.n_bytes[rows]) > budget):
        own = rows[labels == label]
        identities = documents.ids.take(pa.array(own)).to_pylist()
        own = own[np.argsort([uniform(identity.hex(), b"balance") for identity in identities], kind="stable")]
        sizes_before, fits = _fill(documents.n_bytes[own].tolist(), budget)
        beyond.append(own[~fits])
        totals.append(sizes_before[~fits] + documents.n_bytes[own][~fits])
    return _reasons(np.concatenate(beyond), "beyond_label_budget", scores=np.concatenate(totals), threshold=budget)


def _budgets(corpus: Corpus, limits: int | Mapping[str, int]) -> Iterator[tuple[Rows, int]]:
    """Yield the rows that a limit applies to, and the limit."""
    sources = corpus.documents.sources
    if isinstance(limits, int):
        yield np.arange(len(sources)), limits
        return
    for name, limit in limits.items():
        if name in corpus.sources:
            yield np.flatnonzero(sources == corpus.sources.index(name)), limit


def _fill(sizes: Sequence[int], budget: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The total size before each document, int64 (n_documents,), and whether the document still fits."""
    total = 0
    sizes_before, fits = np.empty(len(sizes), np.int64), np.empty(len(sizes), bool)
    for index, size in enumerate(sizes):
        sizes_before[index], fits[index] = total, total + size <= budget
        total += size if fits[index] else 0
    return sizes_before, fits


def _reasons(
    rows: Rows,
    rule: str,
    *,
    scores: npt.NDArray[np.generic] | None = None,
    threshold: float | None = None,
    details: Sequence[str] | None = None,
) -> pa.Table:
    """A table of reasons with the same rule."""
    nothing = [None] * len(rows)
    columns = [
        pa.array(rows, pa.int32()),
        pa.array([rule] * len(rows), pa.string()),
        pa.array(nothing if scores is None else scores.astype(np.float64), pa.float64()),
        pa.array([threshold] * len(rows), pa.float64()),
        pa.array(details or nothing, pa.string()),
    ]
    return pa.table(columns, schema=REASON_SCHEMA)
