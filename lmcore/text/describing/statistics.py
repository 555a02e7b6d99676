"""Statistics of clean documents, read a batch at a time: lengths, vocabulary, parts of speech, where documents are."""

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.text.cleaning.word_hashes import word_hashes
from lmcore.text.config import SplitFractions
from lmcore.text.linguistics.spans import token_spans
from lmcore.text.shards import batches_of
from lmcore.text.split import split_of, uniform

COLUMNS = ("id", "text", "source", "label", "split", "language", "n_bytes", "n_words", "token_ends", "tags")
GROUPINGS = ("split", "source", "language", "label")
FOLLOWED_WORDS = 8
"""One of so many different words is followed, chosen by its hash, so that memory stays small."""
SAMPLED_DOCUMENTS = 2_000
"""Whose words are counted by name."""
SHOWN_WORDS = 40
GROWTH_POINTS = 60
LENGTH_BINS = 2 ** np.arange(21)


def describe(shards: Sequence[Path], fractions: SplitFractions) -> dict[str, Any]:
    """Statistics of the documents of some shards, as JSON values.

    ``groups`` has documents, bytes and words by split, source, language and label; ``length`` the documents by their
    number of words, in bins that double; ``vocabulary_growth`` different words against words read, estimated from
    every eighth word; ``frequent_words`` counts in up to 2,000 documents; ``tags`` counts of parts of speech, where a
    trained pipeline has told them.
    """
    totals = _Totals()
    for batch in batches_of(shards, COLUMNS):
        totals.add(batch, fractions)
    return totals.as_json()


class _Totals:
    """What is summed up on the way."""

    def __init__(self) -> None:
        self._lengths = np.zeros(len(LENGTH_BINS), np.int64)
        self._groups: dict[str, dict[str, Counter[str]]] = {name: {} for name in GROUPINGS}
        self._tags = Counter[str]()
        self._followed = np.empty(0, np.uint64)
        self._growth: list[tuple[int, int]] = [(0, 0)]
        self._sample: list[tuple[float, str, list[int]]] = []

    def add(self, batch: pa.RecordBatch, fractions: SplitFractions) -> None:
        """Count some documents."""
        columns = {name: batch[name].to_pylist() for name in COLUMNS if name != "tags"}
        identities = columns["id"]
        columns["split"] = [
            given or split_of(identity, fractions) for given, identity in zip(columns["split"], identities, strict=True)
        ]
        bins = np.searchsorted(LENGTH_BINS, batch["n_words"].to_numpy(), side="right") - 1
        self._lengths += np.bincount(bins.clip(min=0), minlength=len(LENGTH_BINS))
        for name, groups in self._groups.items():
            for member, n_bytes, n_words in zip(columns[name], columns["n_bytes"], columns["n_words"], strict=True):
                groups.setdefault(member or "(none)", Counter()).update(documents=1, bytes=n_bytes, words=n_words)
        for count in pc.value_counts(batch["tags"].flatten()).to_pylist():
            self._tags[count["values"]] += count["counts"]
        self._read_words(columns["text"])
        ranks = (uniform(identity, b"sample") for identity in identities)
        candidates = [*self._sample, *zip(ranks, columns["text"], columns["token_ends"], strict=True)]
        self._sample = nsmallest(SAMPLED_DOCUMENTS, candidates)

    def as_json(self) -> dict[str, Any]:
        """See :func:`describe`."""
        lengths = zip(LENGTH_BINS.tolist(), self._lengths.tolist(), strict=True)
        return {
            "documents": int(self._lengths.sum()),
            "words": sum(group["words"] for group in self._groups["split"].values()),
            "groups": {name: _rows(groups) for name, groups in self._groups.items()},
            "length": [{"words": start, "documents": count} for start, count in lengths],
            "vocabulary_growth": [{"words": read, "different": different} for read, different in _thin(self._growth)],
            "sampled_documents": len(self._sample),
            "frequent_words": _most_common(Counter(_words(self._sample))),
            "tags": _most_common(self._tags),
        }

    def _read_words(self, texts: Sequence[str]) -> None:
        n_read = self._growth[-1][0]
        for some in word_hashes(texts):
            n_read += len(some.words)
            self._followed = np.union1d(self._followed, some.words[some.words % np.uint64(FOLLOWED_WORDS) == 0])
        self._growth.append((n_read, len(self._followed) * FOLLOWED_WORDS))


def _words(sample: Iterable[tuple[float, str, list[int]]]) -> Iterable[str]:
    for _, text, ends in sample:
        tokens = (text[start:end].lower() for start, end in token_spans(text, ends))
        yield from (token for token in tokens if any(map(str.isalpha, token)))


def _rows(groups: dict[str, Counter[str]]) -> list[dict[str, Any]]:
    """The members of a grouping, the largest first."""
    rows = [{"name": name, **counts} for name, counts in groups.items()]
    return sorted(rows, key=lambda row: (-row["bytes"], row["name"]))


def _most_common(counts: Counter[str]) -> list[dict[str, Any]]:
    chosen = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_WORDS]
    return [{"name": name, "count": count} for name, count in chosen]


def _thin(points: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Some of the points, evenly spread, the first and the last among them."""
    chosen: npt.NDArray[np.int64] = np.unique(np.linspace(0, len(points) - 1, GROWTH_POINTS).round().astype(np.int64))
    return [points[place] for place in chosen]
