"""Statistics of clean documents, collected shard by shard: lengths, groups, vocabulary, annotations."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.text.split import uniform
from lmcore.text.words.hashes import word_hashes
from lmcore.text.words.segmentation import shortened, token_spans

COUNTED = ("frequent_words", "tags", "lemmas", "entities", "entity_names")
CONTENT_TAGS = frozenset(("NOUN", "PROPN", "VERB", "ADJ", "ADV"))
PERSONS = frozenset(("PERSON", "PER"))
GROUPINGS = ("split", "source", "language", "label")
SAMPLING_INTERVAL = np.uint64(8)
"""Vocabulary growth is estimated from one in this many distinct words, chosen by their hashes."""
SAMPLING_RATIO, MIN_SAMPLED = 1 / 8, 100
"""Ratio and minimum number of a shard's documents in which words are counted by name."""
COUNTED_WORDS = 500
SHOWN_NAMES = 40
NAME_CHARACTERS = 60
"""Longer words, lemmas and entities are shortened: a file embedded in a text may be a single word."""
GROWTH_POINTS = 60
LENGTH_BINS = 2 ** np.arange(21)


def shard_statistics(documents: pa.Table, splits: pa.ChunkedArray) -> dict[str, Any]:
    """The statistics of a shard that :func:`merge_statistics` needs, as JSON values.

    Args:
        documents: rows of :data:`lmcore.text.documents.document.CLEAN_SCHEMA`.
        splits: the split of each document.
    """
    bins = np.searchsorted(LENGTH_BINS, documents["n_words"].to_numpy(), side="right") - 1
    words = [batch.words for batch in word_hashes(documents["text"].to_pylist())]
    distinct = np.unique(np.concatenate([np.empty(0, np.uint64), *words]))
    documents = documents.set_column(documents.schema.get_field_index("split"), "split", splits)
    return {
        "length": np.bincount(bins.clip(min=0), minlength=len(LENGTH_BINS)).tolist(),
        "groups": {name: _groups(documents, name) for name in GROUPINGS},
        "words_read": sum(map(len, words)),
        "sampled_words": distinct[distinct % SAMPLING_INTERVAL == 0].tolist(),
        "frequent_words": _frequent_words(documents),
        "tags": {row["values"]: row["counts"] for row in pc.value_counts(_flat(documents["tags"])).to_pylist()},
        "lemmas": dict(_by_count(_lemmas(documents))[:COUNTED_WORDS]),
        "entities": Counter(entity["label"] for entity in _flat(documents["entities"]).to_pylist()),
        "entity_names": dict(_by_count(_entity_names(documents))[:COUNTED_WORDS]),
    }


def merge_statistics(shards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge the statistics of shards, in order, into those of the corpus, as JSON values.

    Returns:
        ``documents`` and ``words``: their numbers. ``groups``: documents, bytes and words by split, source, language
        and label. ``length``: documents by number of words, in bins that double. ``vocabulary_growth``: distinct words
        against words read, estimated from one in eight distinct words. ``frequent_words``: occurrences, estimated from
        one in eight documents. From a trained pipeline: ``tags`` (parts of speech), ``lemmas`` (of content words),
        ``entities`` (kinds of entities) and ``entity_names`` (entities other than persons).
    """
    groups: dict[str, dict[str, Counter[str]]] = {name: {} for name in GROUPINGS}
    counted = {name: Counter[str]() for name in COUNTED}
    for shard in shards:
        for name, counts in counted.items():
            counts.update(shard[name])
        for name, members in shard["groups"].items():
            for member, counts in members.items():
                groups[name].setdefault(member, Counter()).update(counts)
    lengths = np.sum([shard["length"] for shard in shards], axis=0)
    return {
        "documents": int(lengths.sum()),
        "words": sum(group["words"] for group in groups["split"].values()),
        "groups": {name: _rows(members) for name, members in groups.items()},
        "length": [
            {"words": start, "documents": count}
            for start, count in zip(LENGTH_BINS.tolist(), lengths.tolist(), strict=True)
        ],
        "vocabulary_growth": _growth(shards),
        **{name: _most_common(counts) for name, counts in counted.items()},
    }


def _groups(documents: pa.Table, name: str) -> dict[str, dict[str, int]]:
    sizes = documents.group_by(name, use_threads=False).aggregate(
        [("n_bytes", "count"), ("n_bytes", "sum"), ("n_words", "sum")]
    )
    return {
        row[name] or "(none)": {
            "documents": row["n_bytes_count"],
            "bytes": row["n_bytes_sum"],
            "words": row["n_words_sum"],
        }
        for row in sizes.to_pylist()
    }


def _frequent_words(documents: pa.Table) -> dict[str, int]:
    """The most frequent tokens that contain a letter, in lower case, with counts estimated from a sample."""
    ratio = min(max(SAMPLING_RATIO, MIN_SAMPLED / max(len(documents), 1)), 1.0)
    rows = [row for row, name in enumerate(documents["id"].to_pylist()) if uniform(name, b"sample") < ratio]
    counts = Counter(_words(documents.select(["text", "token_ends"]).take(pa.array(rows, pa.int64()))))
    return {word: round(count / ratio) for word, count in _by_count(counts)[:COUNTED_WORDS]}


def _words(documents: pa.Table) -> Iterator[str]:
    for text, ends in zip(documents["text"].to_pylist(), documents["token_ends"].to_pylist(), strict=True):
        tokens = (shortened(text[start:end], NAME_CHARACTERS).lower() for start, end in token_spans(text, ends))
        yield from (token for token in tokens if any(map(str.isalpha, token)))


def _lemmas(documents: pa.Table) -> Counter[str]:
    """How often each lemma occurs; if parts of speech are known, only those of content words."""
    counts = Counter[str]()
    for lemmas, tags in zip(documents["lemmas"].to_pylist(), documents["tags"].to_pylist(), strict=True):
        for lemma, tag in zip(lemmas or (), tags or [None] * len(lemmas or ()), strict=True):
            if (tag is None or tag in CONTENT_TAGS) and lemma.isalpha():
                counts[shortened(lemma, NAME_CHARACTERS).lower()] += 1
    return counts


def _entity_names(documents: pa.Table) -> Counter[str]:
    """How often each entity occurs, except persons."""
    counts = Counter[str]()
    if not _flat(documents["entities"]):
        return counts
    columns = (documents[name].to_pylist() for name in ("text", "token_ends", "entities"))
    for text, ends, entities in zip(*columns, strict=True):
        spans = list(token_spans(text, ends)) if entities else []
        for entity in entities or ():
            if entity["label"] not in PERSONS:
                name = " ".join(text[spans[entity["start"]][0] : spans[entity["end"] - 1][1]].split())
                counts[shortened(name, NAME_CHARACTERS)] += 1
    return counts


def _flat(lists: pa.ChunkedArray) -> pa.Array:
    return lists.combine_chunks().flatten()


def _rows(groups: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    """The members of a group with their sizes, largest first."""
    rows = [{"name": name, **counts} for name, counts in groups.items()]
    return sorted(rows, key=lambda row: (-row["bytes"], row["name"]))


def _growth(shards: Sequence[Mapping[str, Any]]) -> list[dict[str, int]]:
    """Evenly spaced points of the vocabulary growth curve, including the first and the last."""
    sampled: set[int] = set()
    points = [(0, 0)]
    for shard in shards:
        sampled.update(shard["sampled_words"])
        points.append((points[-1][0] + shard["words_read"], len(sampled) * int(SAMPLING_INTERVAL)))
    chosen: npt.NDArray[np.int64] = np.unique(np.linspace(0, len(points) - 1, GROWTH_POINTS).round().astype(np.int64))
    return [{"words": points[index][0], "distinct_words": points[index][1]} for index in chosen.tolist()]


def _most_common(counts: Counter[str]) -> list[dict[str, Any]]:
    return [{"name": name, "count": count} for name, count in _by_count(counts)[:SHOWN_NAMES]]


def _by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
