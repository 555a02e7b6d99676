"""Token ids of whole corpora as flat files that are mapped into memory, not read."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
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
from lmcore.runtime.artifact_cache import complete_piece, keep_pieces, piece_key
from lmcore.runtime.files import atomic_folder, file_digest, write_json, write_text
from lmcore.runtime.workers import Workers
from lmcore.text.split import SPLITS, group_by_split, uniform
from lmcore.tokens.corpus.encoding import CorpusEncoder
from lmcore.tokens.corpus.report import REPORT, dtype_of, render_report, token_rates
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

TEXTS_PER_BATCH = 1_000
COPIED_BYTES = 16_000_000
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
PIECE_SCHEMA = pa.schema(
    [
        *(field for field in INDEX_SCHEMA if field.name != "offset"),
        pa.field("n_characters", pa.int32(), nullable=False),
        pa.field("n_words", pa.int32(), nullable=False),
        pa.field("n_copies", pa.int32(), nullable=False),
    ]
)
"""Columns of a piece's index: also how often the document stands in its split."""
SIZES = ("n_tokens", "n_bytes", "n_characters", "n_words")


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
                raise UserError(f"{path} does not hold the {n_tokens} tokens its index says: tokenize again")
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


def write_shards(
    target: Path,
    tokenizer: Tokenizer,
    documents: Sequence[Path],
    fractions: SplitFractions,
    *,
    weights: Mapping[str, float],
    cache: Path,
    workers: Workers,
    target_separator: str | None = None,
) -> dict[str, Any]:
    """Encode documents into the folder ``target``: a shard per split, index, tokenizer and summary.

    Whoever reads the training shard once has read each source's documents as often as its weight says: with a weight of
    2.5 they stand there twice, and half of them, chosen by a hash of their id, once more; with 0.5 half of them once.
    Copies stand in rounds, the corpus between them.

    Args:
        target: replaced as a whole.
        tokenizer: kept beside the shards.
        documents: Parquet files with the columns ``id``, ``text``, ``n_words``, ``source`` and ``split``, in order, and
            ``target`` where there is a separator.
        fractions: which document belongs to which split.
        weights: of the sources of training documents; 1 where none is given.
        cache: holds the tokens of each file of documents for the next time.
        workers: that encode; the result does not depend on them.
        target_separator: stands between a document's text and its target; None leaves targets out.

    Returns:
        The summary: number format, vocabulary, and the size of each split.

    Raises:
        ValueError: if a split has no document.
    """
    encode = partial(
        encode_documents,
        tokenizer=tokenizer.to_json(),
        fractions=fractions,
        weights=weights,
        cache=cache,
        target_separator=target_separator,
    )
    with progress("Encode", len(documents), "shards") as progressed:
        done = []
        for piece in workers.map(encode, documents):
            done.append(piece)
            progressed.advance()
    with atomic_folder(target) as folder:
        sizes: dict[str, dict[str, int]] = {
            split: _join(split, done, dtype_of(tokenizer.vocabulary), folder) for split in SPLITS
        }
        _check_no_split_is_empty(sizes)
        _join_index(done, folder / "index.parquet")
        tokenizer.save(folder / "tokenizer.json")
        summary = {
            "dtype": dtype_of(tokenizer.vocabulary).name,
            "vocabulary_size": tokenizer.vocabulary.size,
            "end_of_text_id": tokenizer.vocabulary.end_of_text_id,
            "padding_id": tokenizer.vocabulary.padding_id,
            "splits": {
                split: size | token_rates(folder / f"{split}.bin", size, tokenizer) for split, size in sizes.items()
            },
        }
        write_json(folder / "summary.json", summary)
        write_text(folder / REPORT, render_report(tokenizer, summary, folder / "train.bin"))
    keep_pieces(cache, {piece.name for piece in done})
    return summary


def encode_documents(
    documents: Path,
    *,
    tokenizer: str,
    fractions: SplitFractions,
    weights: Mapping[str, float],
    cache: Path,
    target_separator: str | None = None,
) -> Path:
    """The folder of the tokens of a Parquet file of documents, split by split, unless that is done."""
    settings = json.dumps([weights, target_separator], sort_keys=True)
    key = piece_key("encode", tokenizer, fractions, settings, file_digest(documents))
    return complete_piece(cache, key, partial(_encode, documents, tokenizer, fractions, weights, target_separator))


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
    for split, some in group_by_split(table, fractions).items():
        texts: list[str] = some["text"].to_pylist()
        with (folder / f"{split}.bin").open("wb") as shard:
            n_tokens = _write_tokens(shard, encoder, end, texts)
        index.append(_index(split, some, n_tokens, weights if split == "train" else {}))
    pq.write_table(pa.concat_tables(index), folder / "index.parquet", compression="zstd")


def _with_targets(documents: pa.Table, targets: pa.ChunkedArray, separator: str) -> pa.Table:
    """The documents, each with its target behind its text, where it has one."""
    rows = zip(documents["text"].to_pylist(), documents["n_words"].to_pylist(), targets.to_pylist(), strict=True)
    joined = [
        (text, n_words) if target is None else (text + separator + target, n_words + len(target.split()))
        for text, n_words, target in rows
    ]
    columns = {"text": [text for text, _ in joined], "n_words": [n_words for _, n_words in joined]}
    for name, values in columns.items():
        place = documents.schema.get_field_index(name)
        documents = documents.set_column(place, name, pa.array(values, documents.schema.field(place).type))
    return documents


@lru_cache(maxsize=1)
def _encoder(content: str) -> tuple[CorpusEncoder, bytes]:
    """With the end token in the format of shards; it stays for the next documents, and remembers what it has read."""
    tokenizer = Tokenizer.from_json(content)
    end = np.array([tokenizer.vocabulary.end_of_text_id], dtype_of(tokenizer.vocabulary)).tobytes()
    return CorpusEncoder(tokenizer), end


def _write_tokens(shard: BinaryIO, encoder: CorpusEncoder, end: bytes, texts: Sequence[str]) -> npt.NDArray[np.int32]:
    """Append the texts' token ids to a file; returns how many each has, end token included."""
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
    return pa.table(columns, schema=PIECE_SCHEMA)


def _count_copies(identity: str, weight: float) -> int:
    """How often a document stands in its split: on average over documents its weight."""
    whole, rest = divmod(weight, 1.0)
    return int(whole) + (uniform(identity, b"weight") < rest)


def _join(split: str, pieces: Sequence[Path], dtype: np.dtype[Any], folder: Path) -> dict[str, int]:
    """Write a split's shard from those of the pieces, one behind the other; returns its size."""
    sizes = {"n_documents": 0, **dict.fromkeys(SIZES, 0)}
    with (folder / f"{split}.bin").open("wb") as shard:
        for piece, index, is_there in _rounds(pieces, split):
            if is_there.all():
                with (piece / f"{split}.bin").open("rb") as part:
                    shutil.copyfileobj(part, shard, COPIED_BYTES)
            else:
                tokens = np.fromfile(piece / f"{split}.bin", dtype)
                shard.write(tokens[np.repeat(is_there, index["n_tokens"].to_numpy())].tobytes())
            kept = index.filter(pa.array(is_there))
            sizes["n_documents"] += len(kept)
            for name in SIZES:
                sizes[name] += pc.sum(kept[name], min_count=0).as_py()
    return sizes


def _rounds(pieces: Sequence[Path], split: str) -> Iterator[tuple[Path, pa.Table, npt.NDArray[np.bool_]]]:
    """Go through the pieces as often as some document has copies: a piece's index, and which of it are there."""
    n_copies, number = 1, 0
    while number < n_copies:
        for piece in pieces:
            index = _index_of(piece, split)
            copies = index["n_copies"].to_numpy()
            n_copies = max(n_copies, copies.max(initial=0))
            yield piece, index, copies > number
        number += 1


def _join_index(pieces: Sequence[Path], target: Path) -> None:
    with pq.ParquetWriter(target, INDEX_SCHEMA, compression="zstd") as writer:
        for split in SPLITS:
            offset = 0
            for _, documents, is_there in _rounds(pieces, split):
                index = documents.filter(pa.array(is_there))
                if len(index) == 0:
                    continue
                n_tokens = index["n_tokens"].to_numpy().astype(np.int64)
                columns = {name: index[name] for name in index.column_names}
                columns["offset"] = pa.array(offset + np.cumsum(n_tokens) - n_tokens)
                writer.write_table(pa.table([columns[name] for name in INDEX_SCHEMA.names], schema=INDEX_SCHEMA))
                offset += int(n_tokens.sum())


def _index_of(piece: Path, split: str) -> pa.Table:
    return pq.read_table(piece / "index.parquet", filters=pc.field("split") == split)


def _check_no_split_is_empty(sizes: Mapping[str, Mapping[str, int]]) -> None:
    counts = ", ".join(f"{split} {size['n_documents']}" for split, size in sizes.items())
    for split, size in sizes.items():
        if size["n_documents"] == 0:
            raise UserError(
                f"no document is in the split {split} ({counts}): give more documents (of a long file, `divide` in its "
                "whole_files reader makes many), or a larger share in tokenize.split"
            )
