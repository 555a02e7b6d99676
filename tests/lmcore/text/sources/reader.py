"""What the tests of the readers share: a source with nothing but a reader, and all that it gives at once."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from lmcore.config.collect import ReadingLimits, Source
from lmcore.config.locations import LocalFiles
from lmcore.config.readers import EntitySpans, EntityTags, Reader, RecordFields, RowFormat
from lmcore.text.documents.document import Document, ReadError
from lmcore.text.sources.notes import Notes
from lmcore.text.sources.read_files import read_files
from lmcore.text.sources.source_file import SourceFile

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    # In blocks of 100 kB, so that small files have several.
    ".bz2": lambda content: bz2.compress(content, 1),
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    # With a checksum, as the command writes them: without one, not every damage can be found.
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def source(reader: Reader) -> Source:
    return Source(
        name="given",
        location=LocalFiles(kind="local", paths=("first", "second")),
        reader=reader,
        split="test",
        weight=1.0,
        license="CC0-1.0",
        attribution=None,
    )


def records(
    text: str = "text",
    label: str | None = None,
    target: str | EntityTags | EntitySpans | None = None,
    name: str | None = None,
    columns: tuple[str, ...] | None = None,
    encoding: str | None = None,
    rows: str | None = None,
    format: RowFormat | None = None,
    delimiter: str | None = None,
    quoting: Literal["auto", "quoted", "none"] = "auto",
) -> RecordFields:
    return RecordFields(
        kind="records",
        text=text,
        label=label,
        target=target,
        name=name,
        columns=columns,
        rows=rows,
        format=format,
        delimiter=delimiter,
        quoting=quoting,
        encoding=encoding,
    )


def read(
    reader: Reader,
    *files: Path,
    max_document_bytes: int = 10**6,
    max_unpacked_bytes: int = 10**8,
    notes: Notes | None = None,
) -> tuple[list[Document], list[ReadError]]:
    """Documents and read errors of files in the folder of the source."""
    limits = ReadingLimits(max_document_bytes=max_document_bytes, max_unpacked_bytes=max_unpacked_bytes)
    found = list(read_files(source(reader), [SourceFile(file.name, file, 0) for file in files], limits, notes))
    documents = [item for item in found if isinstance(item, Document)]
    return documents, [item for item in found if isinstance(item, ReadError)]


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def rows_in(path: Path, *rows: dict[str, Any]) -> Path:
    """Rows as JSON lines or, by the ending of the path, as Parquet."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
        return path
    return write(path, "\n".join(map(json.dumps, rows)).encode())


def texts(documents: list[Document]) -> list[str]:
    return [document.text for document in documents]


def lines_and_reasons(read_errors: list[ReadError]) -> list[tuple[int | None, str]]:
    return [(read_error.line, read_error.reason) for read_error in read_errors]
