"""The candidates of all shards as one corpus: a few bytes per document in memory, the rest read from disk on demand."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.text.cleaning.contamination import Runs
from lmcore.text.cleaning.decision import whole_text
from lmcore.text.cleaning.filtered_shards import FilteredShard
from lmcore.text.cleaning.reasons import REASON_SCHEMA
from lmcore.text.cleaning.signatures import N_PERMUTATIONS, Signatures

COLUMNS = ("row", "label", "source", "split", "is_split_given", "id", "answer", "n_bytes")
NO_LABEL = -1
Rows = npt.NDArray[np.int64]


class Documents(NamedTuple):
    """What comparing documents needs besides their texts, 42 bytes per document.

    Attributes:
        ids: (n_documents,), 16 bytes each.
        answers: uint64 (n_documents,), hashes of labels, target and rejected answer.
        labels: int32 (n_documents,), a number for each label; :data:`NO_LABEL` for documents without one.
        sources: int32 (n_documents,), indices into :attr:`Corpus.sources`.
        n_bytes: int32 (n_documents,), size of the text in UTF-8.
        is_evaluation: bool (n_documents,), whether the document is held out.
        is_split_given: bool (n_documents,), whether its source assigns the split, rather than a hash.
    """

    ids: pa.FixedSizeBinaryArray
    answers: npt.NDArray[np.uint64]
    labels: npt.NDArray[np.int32]
    sources: npt.NDArray[np.int32]
    n_bytes: npt.NDArray[np.int32]
    is_evaluation: npt.NDArray[np.bool_]
    is_split_given: npt.NDArray[np.bool_]

    def id_prefixes(self) -> npt.NDArray[np.uint64]:
        """The first eight bytes of each id as a number, uint64 (n_documents,), in the same order as the ids."""
        _, content = self.ids.buffers()
        halves = np.frombuffer(content or b"", ">u8", 2 * len(self.ids), 16 * self.ids.offset)
        return halves[::2].astype(np.uint64)


class Corpus:
    """The candidates of all shards in order; a row is the index of a candidate among all of them.

    Args:
        shards: the results of the first pass.

    Attributes:
        documents: what is known of every candidate.
        sources: names of the sources.
    """

    def __init__(self, shards: Sequence[FilteredShard]) -> None:
        self._shards = shards
        labels: dict[str | None, int] = {None: NO_LABEL}
        sources: dict[str | None, int] = {}
        parts = []
        rows = []
        for shard in shards:
            table = shard.candidates(COLUMNS)
            rows.append(table["row"].to_numpy())
            parts.append(
                Documents(
                    ids=table["id"].combine_chunks(),
                    answers=table["answer"].to_numpy(),
                    labels=_numbered(table["label"], labels),
                    sources=_numbered(table["source"], sources),
                    n_bytes=table["n_bytes"].to_numpy(),
                    is_evaluation=pc.not_equal(table["split"], "train").to_numpy(),
                    is_split_given=table["is_split_given"].to_numpy(),
                )
            )
        self._starts = np.cumsum([0, *map(len, rows)])
        self._rows_in_shard = np.concatenate([np.empty(0, np.int32), *rows])
        self.sources = list(sources)
        ids = pa.concat_arrays([pa.array([], pa.binary(16)), *(part.ids for part in parts)])
        types = (np.uint64, np.int32, np.int32, np.int32, np.bool_, np.bool_)
        columns = zip(*(part[1:] for part in parts), strict=True) if parts else ((),) * len(types)
        joined = (np.concatenate([np.empty(0, kind), *column]) for kind, column in zip(types, columns, strict=True))
        self.documents = Documents(ids, *joined)

    def texts_of(self, rows: Rows) -> list[str]:
        """The texts, each with its answers, of the documents ``rows``, in their order."""
        texts = np.empty(len(rows), object)
        for shard, indices, own_rows in self._by_shard(rows):
            chosen = shard.candidates(["text", "target", "rejected"]).take(pa.array(own_rows))
            texts[indices] = list(map(whole_text, *(column.to_pylist() for column in chosen.columns)))
        return list(texts)

    def signatures_of(self, rows: Rows) -> Signatures:
        """The signatures of the documents ``rows``, in their order, uint32 (n_rows, 32)."""
        signatures = np.empty((len(rows), N_PERMUTATIONS), np.uint32)
        for shard, indices, own_rows in self._by_shard(rows):
            signatures[indices] = shard.signatures()[own_rows]
        return signatures

    def runs(self) -> Iterator[Runs]:
        """Yield the runs of words of each shard's documents."""
        for shard in self._shards:
            yield shard.runs()

    def by_shard(self, values: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
        """Split values of all documents, bool (n_documents,), into those of each shard."""
        return np.split(values, self._starts[1:-1])

    def reasons_by_shard(self, reasons: pa.Table) -> list[pa.Table]:
        """Split reasons into those of each shard, sorted, with the documents' row numbers in the raw shard."""
        rows = reasons["row"].to_numpy()
        order = np.argsort(rows, kind="stable")
        reasons, rows = reasons.take(pa.array(order)), rows[order]
        own_rows = pa.array(self._rows_in_shard[rows], pa.int32())
        reasons = reasons.set_column(0, REASON_SCHEMA.field("row"), own_rows)
        return [reasons.slice(start, end - start) for start, end in pairwise(np.searchsorted(rows, self._starts))]

    def _by_shard(self, rows: Rows) -> Iterator[tuple[FilteredShard, Rows, Rows]]:
        """Yield each shard that holds any of ``rows``, the indices in ``rows``, and the row numbers in the shard."""
        order = np.argsort(rows, kind="stable")
        boundaries = np.searchsorted(rows[order], self._starts)
        for number, (start, end) in enumerate(pairwise(boundaries)):
            if start < end:
                indices = order[start:end]
                yield self._shards[number], indices, rows[indices] - self._starts[number]


def _numbered(names: pa.ChunkedArray, known: dict[str | None, int]) -> npt.NDArray[np.int32]:
    """The number of each name; new names are added to ``known``."""
    encoded = names.combine_chunks().dictionary_encode(null_encoding="encode")
    numbers = [known.setdefault(name, len(known)) for name in encoded.dictionary.to_pylist()]
    result: npt.NDArray[np.int32] = np.array(numbers, np.int32)[encoded.indices.to_numpy()]
    return result
