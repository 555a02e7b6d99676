"""Merges encoded files of documents into one shard per split and one index, repeating documents by their weights."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.text.split import SPLITS

COPIED_BYTES = 16_000_000
INDEX_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("n_tokens", pa.int32(), nullable=False),
        pa.field("n_bytes", pa.int32(), nullable=False),
        pa.field("n_characters", pa.int32(), nullable=False),
    ]
)
"""Columns of ``index.parquet``: a document's position in the shard of its split, and its tokens with the end token."""
ENCODED_SCHEMA = pa.schema(
    [
        *(field for field in INDEX_SCHEMA if field.name != "offset"),
        pa.field("n_words", pa.int32(), nullable=False),
        pa.field("n_copies", pa.int32(), nullable=False),
    ]
)
"""Columns of the index of one encoded file, including how often each document is repeated in its split."""
SIZES = ("n_tokens", "n_bytes", "n_characters", "n_words")


def merge_split(split: str, encoded: Sequence[Path], dtype: np.dtype[Any], target: Path) -> dict[str, int]:
    """Write the shard of a split.

    Args:
        split: name of the split.
        encoded: folders of encoded files, in order.
        dtype: type of the token ids.
        target: the file to write.

    Returns:
        The size of the shard: ``n_documents`` and :data:`SIZES`.
    """
    sizes = {"n_documents": 0, **dict.fromkeys(SIZES, 0)}
    with target.open("wb") as shard:
        for folder, index, is_included in _rounds(encoded, split):
            if is_included.all():
                with (folder / f"{split}.bin").open("rb") as part:
                    shutil.copyfileobj(part, shard, COPIED_BYTES)
            else:
                tokens = np.fromfile(folder / f"{split}.bin", dtype)
                shard.write(tokens[np.repeat(is_included, index["n_tokens"].to_numpy())].tobytes())
            included = index.filter(pa.array(is_included))
            sizes["n_documents"] += len(included)
            for name in SIZES:
                sizes[name] += pc.sum(included[name], min_count=0).as_py()
    return sizes


def merge_indexes(encoded: Sequence[Path], target: Path) -> None:
    """Write the index of all splits, with rows of :data:`INDEX_SCHEMA` in the order of the shards."""
    with pq.ParquetWriter(target, INDEX_SCHEMA, compression="zstd") as writer:
        for split in SPLITS:
            offset = 0
            for _, documents, is_included in _rounds(encoded, split):
                index = documents.filter(pa.array(is_included))
                if len(index) == 0:
                    continue
                n_tokens = index["n_tokens"].to_numpy().astype(np.int64)
                columns = {name: index[name] for name in index.column_names}
                columns["offset"] = pa.array(offset + np.cumsum(n_tokens) - n_tokens)
                writer.write_table(pa.table([columns[name] for name in INDEX_SCHEMA.names], schema=INDEX_SCHEMA))
                offset += int(n_tokens.sum())


def _rounds(encoded: Sequence[Path], split: str) -> Iterator[tuple[Path, pa.Table, npt.NDArray[np.bool_]]]:
    """Go through the encoded files as often as the most repeated document occurs.

    Yields a folder, the index of the split in it, and which of its documents the round includes, so that two
    copies of a document are one whole pass over the corpus apart.
    """
    n_rounds, number = 1, 0
    while number < n_rounds:
        for folder in encoded:
            index = pq.read_table(folder / "index.parquet", filters=pc.field("split") == split)
            copies = index["n_copies"].to_numpy()
            n_rounds = max(n_rounds, copies.max(initial=0))
            yield folder, index, copies > number
        number += 1
