"""Token shards: the token ids of a corpus as one flat, memory-mapped file per split, and an index of its documents."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.config.tokenize import SplitFractions
from lmcore.errors import UserError
from lmcore.progress import progress
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.files import atomic_folder, file_digest, write_json, write_text
from lmcore.runtime.workers import Workers
from lmcore.text.split import SPLITS, group_by_split, uniform
from lmcore.tokens.corpus.encoding import CorpusEncoder, token_dtype
from lmcore.tokens.corpus.merging import ENCODED_SCHEMA, merge_indexes, merge_split
from lmcore.tokens.corpus.report import REPORT, render_report, token_statistics
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

TEXTS_PER_BATCH = 1_000


class TokenShards:
    """The token ids of a corpus by split, each document followed by the end token."""

    def __init__(self, folder: Path, summary: Mapping[str, Any], index: pa.Table) -> None:
        self._folder = folder
        self._index = index
        self.dtype = np.dtype(summary["dtype"]).newbyteorder("<")
        self.vocabulary_size: int = summary["vocabulary_size"]
        self.end_of_text_id: int = summary["end_of_text_id"]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a folder that :func:`write_shards` wrote.

        Raises:
            FileNotFoundError: if a file is missing.
            UserError: if the size of a shard does not match the index.
        """
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        shards = cls(folder, summary, pq.read_table(folder / "index.parquet"))
        for split in summary["splits"]:
            path, n_tokens = folder / f"{split}.bin", int(shards.offsets(split)[-1])
            if path.stat().st_size != n_tokens * shards.dtype.itemsize:
                raise UserError(f"{path} does not hold the {n_tokens} tokens of its index: tokenize again")
        return shards

    def tokens(self, split: str) -> np.memmap[Any, np.dtype[np.unsignedinteger[Any]]]:
        """All token ids of a split, uint16 or uint32 (n_tokens,), memory-mapped."""
        return np.memmap(self._folder / f"{split}.bin", self.dtype, mode="r")

    def offsets(self, split: str) -> npt.NDArray[np.int64]:
        """The start of each document and the end of the last one, int64 (n_documents + 1,)."""
        n_tokens = self._column(split, "n_tokens").to_numpy()
        return np.concatenate([[0], np.cumsum(n_tokens, dtype=np.int64)])

    def n_bytes(self, split: str) -> npt.NDArray[np.int64]:
        """Size of each document's text in bytes of UTF-8, int64 (n_documents,)."""
        n_bytes: npt.NDArray[np.int64] = self._column(split, "n_bytes").to_numpy().astype(np.int64)
        return n_bytes

    def n_characters(self, split: str) -> npt.NDArray[np.int64]:
        """Length of each document's text in characters, int64 (n_documents,)."""
        n_characters: npt.NDArray[np.int64] = self._column(split, "n_characters").to_numpy().astype(np.int64)
        return n_characters

    def document_ids(self, split: str) -> list[str]:
        """The ids of the documents, in the order of the shard."""
        ids: list[str] = self._column(split, "id").to_pylist()
        return ids

    def _column(self, split: str, name: str) -> pa.ChunkedArray:
        return self._index.filter(pc.field("split") == split)[name]


def write_shards(
    target: Path,
    tokenizer: Tokenizer,
    documents: Sequence[Path],
    fractions: SplitFractions,
    *,
    weights: Mapping[str, float],
    cache: ArtifactCache,
    workers: Workers,
    target_separator: str | None = None,
) -> dict[str, Any]:
    """Encode documents into the folder ``target``: a shard for each split, index, tokenizer, summary and report.

    In the training shard, the documents of a source are repeated according to its weight: with a weight of 2.5, all of
    them twice and half of them, chosen by a hash of their ids, a third time; with 0.5, half of them once. Each copy of
    the corpus is complete before the next one begins.

    Args:
        target: the folder to write; it is replaced as a whole.
        tokenizer: encodes the documents; saved next to the shards.
        documents: Parquet files, in order, with the columns ``id``, ``text``, ``n_words``, ``source`` and ``split``,
            and ``target`` if there is a separator.
        fractions: fractions of the documents that are held out.
        weights: the weight of each source in the training shard; 1 for those that are not given.
        cache: keeps the tokens of each file of documents for later runs.
        workers: processes that encode; the result does not depend on their number.
        target_separator: text between a document's text and its target; ``None`` leaves targets out.

    Returns:
        The summary: type of the token ids, vocabulary, and size and statistics of each split.

    Raises:
        UserError: if a split has no documents.
    """
    encode = partial(
        encode_documents,
        tokenizer=tokenizer.to_json(),
        fractions=fractions,
        weights=weights,
        cache=cache,
        target_separator=target_separator,
    )
    with progress("Encode documents", len(documents), "shards") as bar:
        encoded = []
        for encoded_file in workers.map(encode, documents):
            encoded.append(encoded_file)
            bar.advance()
    dtype = token_dtype(tokenizer.vocabulary)
    with atomic_folder(target) as folder:
        sizes: dict[str, dict[str, int]] = {
            split: merge_split(split, encoded, dtype, folder / f"{split}.bin") for split in SPLITS
        }
        _check_no_split_is_empty(sizes)
        merge_indexes(encoded, folder / "index.parquet")
        tokenizer.save(folder / "tokenizer.json")
        summary = {
            "dtype": dtype.name,
            "vocabulary_size": tokenizer.vocabulary.size,
            "end_of_text_id": tokenizer.vocabulary.end_of_text_id,
            "padding_id": tokenizer.vocabulary.padding_id,
            "splits": {
                split: size | token_statistics(folder / f"{split}.bin", size, tokenizer)
                for split, size in sizes.items()
            },
        }
        write_json(folder / "summary.json", summary)
        write_text(folder / REPORT, render_report(tokenizer, summary, folder / "train.bin"))
    cache.prune({folder.name for folder in encoded})
    return summary


def encode_documents(
    documents: Path,
    *,
    tokenizer: str,
    fractions: SplitFractions,
    weights: Mapping[str, float],
    cache: ArtifactCache,
    target_separator: str | None = None,
) -> Path:
    """Encode a Parquet file of documents, unless the result is in the cache; returns the folder of its tokens."""
    settings = json.dumps([weights, target_separator], sort_keys=True)
    key = cache.key("encode", tokenizer, fractions, settings, file_digest(documents))
    return cache.get_or_compute(key, partial(_encode, documents, tokenizer, fractions, weights, target_separator))


def _encode(
    documents: Path,
    tokenizer: str,
    fractions: SplitFractions,
    weights: Mapping[str, float],
    target_separator: str | None,
    folder: Path,
) -> None:
    encoder, end = _encoder(tokenizer)
    table = pq.read_table(documents, columns=["id", "split", "source", "text", "n_words"])
    if target_separator is not None:
        table = _with_targets(table, pq.read_table(documents, columns=["target"])["target"], target_separator)
    index = []
    for split, members in group_by_split(table, fractions).items():
        texts: list[str] = members["text"].to_pylist()
        with (folder / f"{split}.bin").open("wb") as shard:
            n_tokens = _write_tokens(shard, encoder, end, texts)
        index.append(_index(split, members, n_tokens, weights if split == "train" else {}))
    pq.write_table(pa.concat_tables(index), folder / "index.parquet", compression="zstd")


def _with_targets(documents: pa.Table, targets: pa.ChunkedArray, separator: str) -> pa.Table:
    """The documents, with the target of each appended to its text if it has one."""
    rows = zip(documents["text"].to_pylist(), documents["n_words"].to_pylist(), targets.to_pylist(), strict=True)
    joined = [
        (text, n_words) if target is None else (text + separator + target, n_words + len(target.split()))
        for text, n_words, target in rows
    ]
    columns = {"text": [text for text, _ in joined], "n_words": [n_words for _, n_words in joined]}
    for name, values in columns.items():
        index = documents.schema.get_field_index(name)
        documents = documents.set_column(index, name, pa.array(values, documents.schema.field(index).type))
    return documents


@lru_cache(maxsize=1)
def _encoder(content: str) -> tuple[CorpusEncoder, bytes]:
    """The encoder and the end token as bytes; cached, because the encoder has a cache of words."""
    tokenizer = Tokenizer.from_json(content)
    end = np.array([tokenizer.vocabulary.end_of_text_id], token_dtype(tokenizer.vocabulary)).tobytes()
    return CorpusEncoder(tokenizer), end


def _write_tokens(shard: BinaryIO, encoder: CorpusEncoder, end: bytes, texts: Sequence[str]) -> npt.NDArray[np.int32]:
    """Append the token ids of the texts to a file; returns the number of each text's tokens with the end token."""
    n_bytes: list[int] = []
    for start in range(0, len(texts), TEXTS_PER_BATCH):
        encoded = encoder.encode(texts[start : start + TEXTS_PER_BATCH])
        shard.writelines(ids + end for ids in encoded)
        n_bytes += map(len, encoded)
    return np.array(n_bytes, np.int32) // len(end) + 1


def _index(split: str, documents: pa.Table, n_tokens: npt.NDArray[np.int32], weights: Mapping[str, float]) -> pa.Table:
    ids, texts = documents["id"].to_pylist(), documents["text"].to_pylist()
    weights_of = (weights.get(source, 1.0) for source in documents["source"].to_pylist())
    columns = {
        "id": ids,
        "split": [split] * len(ids),
        "n_tokens": n_tokens,
        "n_bytes": [len(text.encode()) for text in texts],
        "n_characters": list(map(len, texts)),
        "n_words": documents["n_words"],
        "n_copies": [_count_copies(identity, weight) for identity, weight in zip(ids, weights_of, strict=True)],
    }
    return pa.table(columns, schema=ENCODED_SCHEMA)


def _count_copies(identity: str, weight: float) -> int:
    """How often a document is repeated in its split; the mean over documents is the weight."""
    whole, rest = divmod(weight, 1.0)
    return int(whole) + (uniform(identity, b"weight") < rest)


def _check_no_split_is_empty(sizes: Mapping[str, Mapping[str, int]]) -> None:
    counts = ", ".join(f"{split} {size['n_documents']}" for split, size in sizes.items())
    for split, size in sizes.items():
        if size["n_documents"] == 0:
            raise UserError(
                f"the split {split} has no documents ({counts}): add documents (the setting `divide` splits a "
                "long file into several), or increase the fraction of the split"
            )
