"""The second pass of cleaning: which documents are taken when not all are wanted, decided by looking at all of them."""

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


def select(shards: Sequence[FilteredShard], config: CleanConfig) -> list[pa.Table]:
    """What to drop of every shard's candidates, as tables of :data:`lmcore.text.cleaning.reasons.REASON_SCHEMA`.

    Takes less than two hundred bytes of memory a document, whatever their length.
    """
    corpus = Corpus(shards)
    documents = corpus.documents
    stays = np.ones(len(documents.ids), bool)
    reasons = [REASON_SCHEMA.empty_table()]

    def drop(some: pa.Table) -> None:
        """Note a step's decisions, whose rows are those of ``documents``."""
        stays[some["row"].to_numpy()] = False
        reasons.append(some)

    if config.remove_duplicates:
        drop(exact_duplicates(documents))
    if config.near_duplicates is not None:
        rows = np.flatnonzero(stays)
        drop(near_duplicates(documents, rows, corpus.signatures_of, corpus.texts_of, config.near_duplicates))
    if config.contamination is not None:
        drop(contaminated(corpus, stays, config.contamination))
    if config.max_bytes_per_label is not None:
        for rows, budget in _budgets(corpus, config.max_bytes_per_label):
            drop(beyond_label_budget(documents, rows[stays[rows]], budget))
    return corpus.reasons_by_shard(pa.concat_tables(reasons))


def exact_duplicates(documents: Documents) -> pa.Table:
    """Drop the rows whose text, label and target another row has: the first stays, or the first that is held out.

    The detail names the document that stays.
    """
    # Only what begins alike can be alike, and to find that out takes little memory.
    beginnings = documents.beginnings_of_ids()
    order = np.argsort(beginnings, kind="stable")
    is_like_last = np.append(False, np.diff(beginnings[order]) == 0)[: len(order)]
    asked = np.sort(order[is_like_last | np.roll(is_like_last, -1)])
    # Training documents stand behind all that are held out.
    places = np.arange(len(asked)) + ~documents.is_evaluation[asked] * len(asked)
    table = pa.table({"id": documents.ids.take(pa.array(asked)), "answer": documents.answers[asked], "place": places})
    first = table.group_by(["id", "answer"], use_threads=False).aggregate([("place", "min")])
    is_repeated = np.ones(len(asked), bool)
    is_repeated[first["place_min"].to_numpy() % max(len(asked), 1)] = False
    rows = asked[is_repeated]
    details = [f"the text of {identity.hex()}" for identity in documents.ids.take(pa.array(rows)).to_pylist()]
    return _reasons(rows, "exact_duplicate", details=details)


def contaminated(corpus: Corpus, stays: npt.NDArray[np.bool_], config: ContaminationConfig) -> pa.Table:
    """Drop training documents that have more than ``max_overlap`` of their n-grams in common with held-out ones."""
    is_evaluation = corpus.documents.is_evaluation
    is_training = ~is_evaluation & stays
    shares = overlaps(
        corpus.runs, corpus.divide(is_evaluation & stays), corpus.divide(is_training), config.common_documents
    )
    rows = np.flatnonzero(is_training & (shares > config.max_overlap))
    return _reasons(rows, "contaminated", scores=shares[rows], threshold=config.max_overlap)


def beyond_label_budget(documents: Documents, rows: Rows, budget: int) -> pa.Table:
    """Drop what exceeds a label's share of the training text.

    A label's documents are taken in the order of a hash of their id, each that still fits: a choice by content, the
    same wherever the documents stand. Documents without a label all stay, and so do those that their source holds out.
    The score is what the label would hold with the document in bytes.

    Args:
        documents: all of them.
        rows: that take part.
        budget: bytes of UTF-8 for one label.
    """
    is_asked = (documents.labels != NO_LABEL) & ~(documents.is_evaluation & documents.is_split_given)
    rows = rows[is_asked[rows]]
    labels = documents.labels[rows]
    beyond, totals = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for label in np.flatnonzero(np.bincount(labels, documents.n_bytes[rows]) > budget):
        own = rows[labels == label]
        identities = documents.ids.take(pa.array(own)).to_pylist()
        own = own[np.argsort([uniform(identity.hex(), b"balance") for identity in identities], kind="stable")]
        held_before, fits = _fill(documents.n_bytes[own].tolist(), budget)
        beyond.append(own[~fits])
        totals.append(held_before[~fits] + documents.n_bytes[own][~fits])
    return _reasons(np.concatenate(beyond), "beyond_label_budget", scores=np.concatenate(totals), threshold=budget)


def _budgets(corpus: Corpus, limits: int | Mapping[str, int]) -> Iterator[tuple[Rows, int]]:
    """Yield the rows that share a limit for each of their labels, and the limit."""
    sources = corpus.documents.sources
    if isinstance(limits, int):
        yield np.arange(len(sources)), limits
        return
    for name, limit in limits.items():
        if name in corpus.sources:
            yield np.flatnonzero(sources == corpus.sources.index(name)), limit


def _fill(sizes: Sequence[int], budget: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """What is held when each of some documents comes, and whether it still fits."""
    held = 0
    held_before, fits = np.empty(len(sizes), np.int64), np.empty(len(sizes), bool)
    for place, size in enumerate(sizes):
        held_before[place], fits[place] = held, held + size <= budget
        held += size if fits[place] else 0
    return held_before, fits


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
