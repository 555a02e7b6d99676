"""The first pass of cleaning: every document of a shard judged alone, with what a comparison of all needs of it."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.config.clean import CleanConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.runtime.artifact_cache import complete_piece, piece_key
from lmcore.runtime.files import file_digest
from lmcore.text.cleaning.contamination import Runs, sampled_runs
from lmcore.text.cleaning.decision import DocumentFilter, whole_text
from lmcore.text.cleaning.reasons import reason_table
from lmcore.text.cleaning.signatures import Signatures, signatures
from lmcore.text.documents.shards import write_table
from lmcore.text.split import document_id, split_of
from lmcore.text.words.hashes import word_hashes

CANDIDATES, DROPS, CHANGES = "candidates.parquet", "drops.parquet", "changes.parquet"
# As in memory: such numbers cannot be compressed, and to decode them takes longer than to compare them.
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
    ]
)
"""Documents that nothing speaks against so far: row in their shard, text as it will be, and where it will belong.

``answer`` is a number that documents share whose label and target are the same: others are no copies of each other.
"""


@dataclass(frozen=True, slots=True)
class FilteredShard:
    """The folder that the first pass leaves for a shard."""

    folder: Path

    def candidates(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of :data:`CANDIDATE_SCHEMA`, or some of their columns."""
        return pq.read_table(self.folder / CANDIDATES, columns=columns and list(columns))

    def signatures(self) -> Signatures:
        """The candidates' signatures, by which near duplicates are found; mapped into memory."""
        mapped: Signatures = np.load(self.folder / SIGNATURES, mmap_mode="r")
        return mapped

    def runs(self) -> Runs:
        """The candidates' runs of words, by which evaluation documents are found in others; mapped into memory."""
        return Runs(*(np.load(self.folder / name, mmap_mode="r") for name in (RUNS, OWNERS)))

    def drops(self) -> pa.Table:
        """Rows of :data:`ROW_REASON_SCHEMA`: the documents that no longer take part."""
        return pq.read_table(self.folder / DROPS)

    def changes(self) -> pa.Table:
        """Rows of :data:`ROW_REASON_SCHEMA`: what was changed in documents, several reasons for one where it is so."""
        return pq.read_table(self.folder / CHANGES)


def filter_shard(
    shard: Path, *, config: CleanConfig, fractions: SplitFractions, pipeline: str | None, work: Path
) -> FilteredShard:
    """DocumentFilter the documents of a raw shard, unless that is done.

    Args:
        shard: a file of raw documents.
        config: the rules.
        fractions: which documents are for evaluation.
        pipeline: what stands for the content of the trained pipeline, if there is one.
        work: where pieces that are done are kept.
    """
    # What a comparison of all documents decides by is not among these: other thresholds there need no other judgement.
    rules = (config.language, config.normalize, config.identify_language, config.filters, config.blocklist)
    shingle_words = config.near_duplicates and config.near_duplicates.shingle_words
    ngram_words = config.contamination and config.contamination.ngram_words
    parts = (*rules, config.personal_data, shingle_words, ngram_words, fractions, pipeline)
    key = piece_key("judge", *parts, file_digest(shard))
    return FilteredShard(complete_piece(work, key, partial(_judge, shard, config, fractions)))


def _judge(shard: Path, config: CleanConfig, fractions: SplitFractions, folder: Path) -> None:
    raw = pq.read_table(shard, columns=["text", "target", "label", "source", "split"]).to_pydict()
    document_filter = DocumentFilter(config, configured_person_finder(config))
    judgements = list(map(document_filter.decide, raw["text"], raw["target"]))
    kept = [row for row, judgement in enumerate(judgements) if judgement.drop is None]
    texts, targets = ([getattr(judgements[row], name) for row in kept] for name in ("text", "target"))
    labels = [raw["label"][row] for row in kept]
    identities = [document_id(text) for text in texts]
    given = [raw["split"][row] for row in kept]
    splits = [split or split_of(identity, fractions) for split, identity in zip(given, identities, strict=True)]
    whole = list(map(whole_text, texts, targets))
    words = list(word_hashes(whole)) if config.near_duplicates or config.contamination else []
    columns = {
        "row": kept,
        "text": texts,
        "target": targets,
        "label": labels,
        "source": [raw["source"][row] for row in kept],
        "split": splits,
        "is_split_given": [split is not None for split in given],
        "language": [judgements[row].language for row in kept],
        "id": [bytes.fromhex(identity) for identity in identities],
        "answer": list(map(_answer, labels, targets)),
        "n_bytes": [len(text.encode()) for text in texts],
    }
    write_table(folder / CANDIDATES, pa.table(columns, schema=CANDIDATE_SCHEMA))
    if config.near_duplicates is not None:
        np.save(folder / SIGNATURES, signatures(words, config.near_duplicates.shingle_words))
    if config.contamination is not None:
        is_training = np.asarray([split == "train" for split in splits], bool)
        runs = sampled_runs(words, is_training, config.contamination.ngram_words)
        np.save(folder / RUNS, runs.hashes)
        np.save(folder / OWNERS, runs.owners)
    drops = ((row, judgement.drop) for row, judgement in enumerate(judgements) if judgement.drop)
    write_table(folder / DROPS, reason_table(drops))
    changes = ((row, change) for row in kept for change in judgements[row].changes)
    write_table(folder / CHANGES, reason_table(changes))


def _answer(label: str | None, target: str | None) -> int:
    if label is None and target is None:
        return 0
    content = json.dumps([label, target]).encode()
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")


def configured_person_finder(config: CleanConfig) -> Callable[[str], Iterator[tuple[int, int]]] | None:
    """What finds names of persons in a text, where ``config`` asks for it."""
    if config.pipeline is None or config.personal_data is None or "person" not in config.personal_data.kinds:
        return None
    # spaCy takes seconds to import, and only who looks for names needs it here.
    from lmcore.text.linguistics.pipelines import person_finder

    return person_finder(config.pipeline)
