"""Rows of Arrow files, as ``datasets`` stores them, read in batches.

Source: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa

from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.input_file import InputFile
from lmcore.text.sources.rows.class_names import with_class_names
from lmcore.text.sources.rows.nested_rows import inner_rows
from lmcore.text.sources.rows.parquet_rows import (
    ARROW_ERRORS,
    MAX_BATCH_ROWS,
    ParquetRows,
    column_of,
    damaged_file,
    rows_of,
)
from lmcore.text.sources.rows.tables import check_columns

FILE_MARK = b"ARROW1"


def arrow_rows(file: InputFile, names: Sequence[str] | None, path: Sequence[str] = ()) -> ParquetRows:
    """Yield the number of each row, from 1, and its fields ``names`` (None: all); with a path, the rows nested there.

    Raises:
        UserError: if a field has no column.
        InputError: with its row, if the rest of the file cannot be read.
    """
    with file.open_seekable() as stream:
        try:
            schema, batches = _opened(stream)
        except ARROW_ERRORS as error:
            raise damaged_file(error) from error
        names = schema.names if names is None else names
        columns = {name: column_of(schema, name) for name in names}
        missing = [name for name, column in columns.items() if column is None]
        check_columns(file, schema.names, path[:1] if path else missing)
        found = [name if name in schema.names else name.split(".")[0] for name in (*names, *path[:1])]
        needed = sorted(set(found) & set(schema.names))
        for number, row in with_class_names(_rows(file, batches, needed), schema):
            inner = (row,) if isinstance(row, InputError) else inner_rows(row, path)
            yield from ((number, each) for each in inner)


def _opened(stream: BinaryIO) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    is_file = stream.read(len(FILE_MARK)) == FILE_MARK
    stream.seek(0)
    if not is_file:
        reader = pa.ipc.open_stream(stream)
        return reader.schema, iter(reader)
    table = pa.ipc.open_file(stream)
    return table.schema, map(table.get_batch, range(table.num_record_batches))


def _rows(file: InputFile, batches: Iterator[pa.RecordBatch], columns: Sequence[str]) -> ParquetRows:
    n_done = 0
    while True:
        try:
            batch = next(batches, None)
            if batch is None:
                return
            batch.validate(full=True)  # Offsets that point outside the batch would crash the process.
        except ARROW_ERRORS as error:
            found = damaged_file(error)
            raise InputError(found.reason, found.detail, n_done + 1) from error
        needed = batch.select(columns)
        for start in range(0, batch.num_rows, MAX_BATCH_ROWS):
            yield from rows_of(file, needed.slice(start, MAX_BATCH_ROWS), n_done + start)
        n_done += batch.num_rows
