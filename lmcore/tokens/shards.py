"""Token ids of whole corpora as flat files that are mapped into memory, not read."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.files import write_json
from lmcore.progress import Work, progress
from lmcore.tokens.tokenizer import Tokenizer

TEXTS_PER_BATCH = 1_000
INDEX_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("n_tokens", pa.int32(), nullable=False),
        pa.field("n_bytes", pa.int32(), nullable=False),
    ]
)
"""Columns of ``index.parquet``: a document's place in its split's shard; its tokens include the end token."""


class TokenShards:
    """Token ids of a corpus, split by split, each document followed by the end token."""

    def __init__(self, folder: Path, summary: Mapping[str, Any], index: pa.Table) -> None:
        self._folder = folder
        self._index = index
        self.dtype = np.dtype(summary["dtype"]).newbyteorder("<")
        self.vocabulary_size: int = summary["vocabulary_size"]
        self.end_of_text_id: int = summary["end_of_text_id"]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what :func:`write_shards` wrote.

        Raises:
            FileNotFoundError: if it is not there.
            ValueError: if a shard has not the size that the index says.
        """
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        shards = cls(folder, summary, pq.read_table(folder / "index.parquet"))
        for split in summary["splits"]:
            path, n_tokens = folder / f"{split}.bin", int(shards.offsets(split)[-1])
            if path.stat().st_size != n_tokens * shards.dtype.itemsize:
                raise ValueError(f"{path} does not hold the {n_tokens} tokens its index says: tokenize again")
        return shards

    def tokens(self, split: str) -> np.memmap[Any, np.dtype[np.unsignedinteger[Any]]]:
        """All token ids of a split, uint16 or uint32 (n_tokens,), read from disk as they are used."""
        return np.memmap(self._folder / f"{split}.bin", self.dtype, mode="r")

    def offsets(self, split: str) -> npt.NDArray[np.int64]:
        """Where each document starts and the last one ends, int64 (n_documents + 1,)."""
        n_tokens = self._column(split, "n_tokens").to_numpy()
        return np.concatenate([[0], np.cumsum(n_tokens, dtype=np.int64)])

    def n_bytes(self, split: str) -> npt.NDArray[np.int64]:
        """Bytes of UTF-8 of each document's text, int64 (n_documents,)."""
        n_bytes: npt.NDArray[np.int64] = self._column(split, "n_bytes").to_numpy().astype(np.int64)
        return n_bytes

    def document_ids(self, split: str) -> list[str]:
        """The documents' ids, in the order in which they stand in the shard."""
        ids: list[str] = self._column(split, "id").to_pylist()
        return ids

    def _column(self, split: str, name: str) -> pa.ChunkedArray:
        return self._index.filter(pc.field("split") == split)[name]


def write_shards(folder: Path, tokenizer: Tokenizer, splits: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Encode the documents of every split into ``folder``: a shard per split, index, tokenizer and summary.

    Args:
        folder: that exists.
        tokenizer: kept beside the shards.
        splits: documents with the columns ``id`` and ``text``, by the name of their split.

    Returns:
        The summary: number format, vocabulary, and the size of each split.

    Raises:
        ValueError: if a split has no document.
    """
    for split, documents in splits.items():
        if len(documents) == 0:
            raise ValueError(
                f"no document falls into {split} ({_counts(splits)}): "
                "give more documents, or a larger share in tokenize.split"
            )
    dtype = np.dtype("<u2" if tokenizer.vocabulary.size <= 2**16 else "<u4")
    index, sizes = [], {}
    with progress("Encode", sum(map(len, splits.values())), "documents") as work:
        for split, documents in splits.items():
            texts: list[str] = documents["text"].to_pylist()
            with (folder / f"{split}.bin").open("wb") as shard:
                n_tokens = _encode(shard, tokenizer, texts, dtype, work)
            index.append(_index(split, documents["id"], texts, n_tokens))
            sizes[split] = _size(texts, n_tokens)
    pq.write_table(pa.concat_tables(index).combine_chunks(), folder / "index.parquet", compression="zstd")
    tokenizer.save(folder / "tokenizer.json")
    summary = {
        "dtype": dtype.name,
        "vocabulary_size": tokenizer.vocabulary.size,
        "end_of_text_id": tokenizer.vocabulary.end_of_text_id,
        "padding_id": tokenizer.vocabulary.padding_id,
        "splits": sizes,
    }
    write_json(folder / "summary.json", summary)
    return summary


def _encode(
    shard: BinaryIO, tokenizer: Tokenizer, texts: Sequence[str], dtype: np.dtype[Any], work: Work
) -> npt.NDArray[np.int32]:
    """Append the texts' token ids to a file; returns how many each has, end token included."""
    n_tokens = np.empty(len(texts), np.int32)
    for start in range(0, len(texts), TEXTS_PER_BATCH):
        batch = tokenizer.encode_batch(texts[start : start + TEXTS_PER_BATCH])
        for row, ids in enumerate(batch, start):
            ids.append(tokenizer.vocabulary.end_of_text_id)
            n_tokens[row] = len(ids)
            shard.write(np.array(ids, dtype).tobytes())
        work.advance(len(batch))
    return n_tokens


def _index(split: str, ids: pa.ChunkedArray, texts: Sequence[str], n_tokens: npt.NDArray[np.int32]) -> pa.Table:
    offsets = np.cumsum(n_tokens, dtype=np.int64) - n_tokens
    n_bytes = [len(text.encode()) for text in texts]
    return pa.table([ids, [split] * len(ids), offsets, n_tokens, n_bytes], schema=INDEX_SCHEMA)


def _size(texts: Sequence[str], n_tokens: npt.NDArray[np.int32]) -> dict[str, float]:
    n_characters, total = sum(map(len, texts)), int(n_tokens.sum())
    return {
        "n_documents": len(texts),
        "n_tokens": total,
        "n_bytes": sum(len(text.encode()) for text in texts),
        "n_characters": n_characters,
        "characters_per_token": round(n_characters / total, 4),
    }


def _counts(splits: Mapping[str, pa.Table]) -> str:
    return ", ".join(f"{split} {len(documents)}" for split, documents in splits.items())
