"""Documents as a folder of numbered Parquet files (shards), which are written and read one at a time."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.runtime.artifact_cache import link_or_copy
from lmcore.text.documents.document import RAW_SCHEMA, Document, to_table

DOCUMENTS = "documents"
"""The folder of shards in a folder of documents."""
READ_ERRORS, LEDGER, SUMMARY = "read_errors.parquet", "ledger.parquet", "summary.json"
"""Files next to it: the read errors, the ledger of dropped and changed documents, and the counts."""

BYTES_PER_SHARD = 6_000_000
"""Small enough to divide a few megabytes among several processes, and large enough to avoid thousands of files."""
ROWS_PER_GROUP = 16_384
BATCH_ROWS = 1_000


class ShardWriter:
    """Writes raw documents to shards in ``folder/documents``, each of about 6 MB of text."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / DOCUMENTS
        self._folder.mkdir()
        self._documents: list[Document] = []
        self._n_characters = self._n_shards = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._write()

    def add(self, document: Document) -> None:
        """Add a document."""
        self._documents.append(document)
        self._n_characters += sum(map(len, filter(None, _contents(document))))
        if self._n_characters >= BYTES_PER_SHARD:
            self._write()

    def _write(self) -> None:
        if self._documents:
            write_table(self._folder / shard_name(self._n_shards), to_table(self._documents, RAW_SCHEMA))
            self._n_shards += 1
        self._documents, self._n_characters = [], 0


def _contents(document: Document) -> tuple[str | None, ...]:
    return document.text, document.target, document.messages, document.rejected


def shard_name(number: int) -> str:
    """The file name of a shard; shards sorted by name are in the order of their documents."""
    return f"{number:06d}.parquet"


def shards_of(folder: Path) -> list[Path]:
    """The shards of a folder of documents, in order.

    Raises:
        FileNotFoundError: if there are none.
    """
    shards = sorted((folder / DOCUMENTS).glob("*.parquet"))
    if not shards:
        raise FileNotFoundError(f"{folder / DOCUMENTS} is missing or has no Parquet files")
    return shards


def read_documents(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read all documents of a folder, or some of their columns, into memory.

    Raises:
        FileNotFoundError: if there are none.
    """
    return pa.concat_tables(
        [pq.read_table(shard, columns=columns and list(columns)) for shard in shards_of(folder)]
    ).combine_chunks()


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet; equal tables give equal bytes with the same version of pyarrow."""
    pq.write_table(table, path, compression="zstd", compression_level=3, row_group_size=ROWS_PER_GROUP)


def link_shards(folders: Iterable[Path], target: Path) -> None:
    """Fill ``target/documents`` with links to the shards of several folders, in order."""
    (target / DOCUMENTS).mkdir()
    shards = (shard for folder in folders for shard in sorted((folder / DOCUMENTS).glob("*.parquet")))
    for number, shard in enumerate(shards):
        link_or_copy(shard, target / DOCUMENTS / shard_name(number))


def concatenate(tables: Iterable[pa.Table], target: Path, schema: pa.Schema) -> None:
    """Concatenate tables into one Parquet file, with one of them in memory at a time."""
    with pq.ParquetWriter(target, schema, compression="zstd", compression_level=3) as writer:
        for table in tables:
            if len(table):
                writer.write_table(table, row_group_size=ROWS_PER_GROUP)


def batches_of(shards: Iterable[Path], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield columns of shards in batches of rows."""
    for shard in shards:
        yield from pq.ParquetFile(shard).iter_batches(BATCH_ROWS, columns=list(columns))
