"""The first pass of cleaning: filters each document of a shard separately and stores what comparing them needs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.config.clean import CleanConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.files import file_digest
from lmcore.text.cleaning.contamination import Runs, sampled_runs
from lmcore.text.cleaning.decision import DocumentFilter, configured_person_finder, whole_text
from lmcore.text.cleaning.reasons import reason_table
from lmcore.text.cleaning.signatures import Signatures, signatures
from lmcore.text.documents.shards import write_table
from lmcore.text.split import document_id, split_of
from lmcore.text.words.hashes import word_hashes

CANDIDATES, DROPS, CHANGES = "candidates.parquet", "drops.parquet", "changes.parquet"
CONTENTS = ("text", "target", "rejected", "messages")
"""The columns that are normalized, filtered and masked, in the order of :meth:`DocumentFilter.decide`."""
RAW_COLUMNS = [*CONTENTS, "label", "labels", "source", "split"]
# Stored as in memory: hashes cannot be compressed, and decoding them takes longer than comparing them.
SIGNATURES, RUNS, OWNERS = "signatures.npy", "runs.npy", "owners.npy"

CANDIDATE_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("target", pa.string()),
        pa.field("label", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("is_split_given", pa.bool_(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("id", pa.binary(16), nullable=False),
        pa.field("answer", pa.uint64(), nullable=False),
        pa.field("n_bytes", pa.int32(), nullable=False),
        pa.field("rejected", pa.string()),
        pa.field("messages", pa.string()),
    ]
)
"""Documents that pass all filters: their row in the raw shard, their cleaned text, and the split they belong to.

``answer`` is a hash of labels, target and rejected answer: only documents with the same one can be
duplicates of each other.
"""


@dataclass(frozen=True, slots=True)
class FilteredShard:
    """The folder that the first pass writes for a shard."""

    folder: Path

    def candidates(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The documents that pass all filters, as rows of :data:`CANDIDATE_SCHEMA` or a selection of its columns."""
        return pq.read_table(self.folder / CANDIDATES, columns=columns and list(columns))

    def signatures(self) -> Signatures:
        """The candidates' signatures for finding near duplicates, memory-mapped."""
        mapped: Signatures = np.load(self.folder / SIGNATURES, mmap_mode="r")
        return mapped

    def runs(self) -> Runs:
        """The candidates' runs of words for finding contamination, memory-mapped."""
        return Runs(*(np.load(self.folder / name, mmap_mode="r") for name in (RUNS, OWNERS)))

    def drops(self) -> pa.Table:
        """The dropped documents, as rows of :data:`lmcore.text.cleaning.reasons.REASON_SCHEMA`."""
        return pq.read_table(self.folder / DROPS)

    def changes(self) -> pa.Table:
        """The changes, as rows of :data:`lmcore.text.cleaning.reasons.REASON_SCHEMA`, one or more per document."""
        return pq.read_table(self.folder / CHANGES)


def filter_shard(
    shard: Path, *, config: CleanConfig, fractions: SplitFractions, pipeline: str | None, cache: ArtifactCache
) -> FilteredShard:
    """Filter the documents of a raw shard, unless the result is in the cache.

    Args:
        shard: a Parquet file of raw documents.
        config: the cleaning rules.
        fractions: fractions of the documents that are held out.
        pipeline: identifies the content of the trained pipeline, if there is one.
        cache: keeps the results for later runs.
    """
    # Thresholds that only the comparison of documents uses are not part of the key.
    rules = (config.language, config.normalize, config.identify_language, config.filters, config.blocklist)
    shingle_words = config.near_duplicates and config.near_duplicates.shingle_words
    ngram_words = config.contamination and config.contamination.ngram_words
    parts = (*rules, config.personal_data, shingle_words, ngram_words, fractions, pipeline)
    key = cache.key("filter", *parts, file_digest(shard))
    return FilteredShard(cache.get_or_compute(key, partial(_write_filtered, shard, config, fractions)))


def _write_filtered(shard: Path, config: CleanConfig, fractions: SplitFractions, folder: Path) -> None:
    raw = pq.read_table(shard, columns=RAW_COLUMNS).to_pydict()
    document_filter = DocumentFilter(config, configured_person_finder(config))
    decisions = list(map(document_filter.decide, *(raw[name] for name in CONTENTS)))
    kept = [row for row, decision in enumerate(decisions) if decision.drop is None]
    texts, targets, rejected, messages = ([getattr(decisions[row], name) for row in kept] for name in CONTENTS)
    labels = [raw["label"][row] for row in kept]
    several_labels = [raw["labels"][row] for row in kept]
    identities = [document_id(text) for text in texts]
    given_splits = [raw["split"][row] for row in kept]
    splits = [split or split_of(identity, fractions) for split, identity in zip(given_splits, identities, strict=True)]
    whole_texts = list(map(whole_text, texts, targets, rejected))
    words = list(word_hashes(whole_texts)) if config.near_duplicates or config.contamination else []
    columns = {
        "row": kept,
        "text": texts,
        "target": targets,
        "label": labels,
        "source": [raw["source"][row] for row in kept],
        "split": splits,
        "is_split_given": [split is not None for split in given_splits],
        "language": [decisions[row].language for row in kept],
        "id": [bytes.fromhex(identity) for identity in identities],
        "answer": list(map(_answer_hash, labels, targets, several_labels, rejected)),
        "n_bytes": [len(text.encode()) for text in texts],
        "rejected": rejected,
        "messages": messages,
    }
    write_table(folder / CANDIDATES, pa.table(columns, schema=CANDIDATE_SCHEMA))
    if config.near_duplicates is not None:
        np.save(folder / SIGNATURES, signatures(words, config.near_duplicates.shingle_words))
    if config.contamination is not None:
        is_training = np.asarray([split == "train" for split in splits], bool)
        runs = sampled_runs(words, is_training, config.contamination.ngram_words)
        np.save(folder / RUNS, runs.hashes)
        np.save(folder / OWNERS, runs.owners)
    drops = ((row, decision.drop) for row, decision in enumerate(decisions) if decision.drop)
    write_table(folder / DROPS, reason_table(drops))
    changes = ((row, change) for row in kept for change in decisions[row].changes)
    write_table(folder / CHANGES, reason_table(changes))


def _answer_hash(
    label: str | None, target: str | None, labels: list[str] | None = None, rejected: str | None = None
) -> int:
    known = [label, target] if labels is None and rejected is None else [label, target, labels, rejected]
    if not any(value is not None for value in known):
        return 0
    content = json.dumps(known).encode()
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")
