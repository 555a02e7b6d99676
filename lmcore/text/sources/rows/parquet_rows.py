"""Rows of Parquet files, read in batches with only the necessary columns."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.byte_streams import BUFFER_BYTES
from lmcore.text.sources.input_files.input_file import InputFile
from lmcore.text.sources.rows.class_names import with_class_names
from lmcore.text.sources.rows.nested_rows import Row, inner_rows
from lmcore.text.sources.rows.tables import check_columns

ParquetRows = Iterator[tuple[int, Row | InputError]]

BATCH_BYTES = 2**22
MAX_BATCH_ROWS = 512
LONGEST_DETAIL = 200
ARROW_ERRORS = (pa.ArrowException, OSError, ValueError)


def parquet_rows(file: InputFile, names: Sequence[str] | None, path: Sequence[str] = ()) -> ParquetRows:
    """Yield the number of each row, from 1, and its fields ``names`` (None: all); with a path, the rows nested there.

    After a damaged part, reading continues with the next row group.

    Raises:
        UserError: if a field has no column.
        InputError: with its row, if the rest of the file cannot be read.
    """
    with file.open_seekable() as stream:
        try:
            # Column chunks are not read ahead, so that only a few pages are in memory.
            table = pq.ParquetFile(stream, pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True)
            schema, metadata = table.schema_arrow, table.metadata
        except ARROW_ERRORS as error:
            raise damaged_file(error) from error
        names = schema.names if names is None else names
        columns = {name: column_of(schema, name) for name in names}
        missing = [name for name, column in columns.items() if column is None]
        # A field without a column may be one of the nested rows.
        check_columns(file, schema.names, path[:1] if path else missing)
        needed = sorted({column for column in columns.values() if column is not None}.union(path[:1]))
        n_rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        for group, n_before in enumerate(accumulate(n_rows, initial=0)):
            if group < len(n_rows):
                for number, row in with_class_names(_group_rows(file, table, group, n_before, needed), schema):
                    inner = (row,) if isinstance(row, InputError) else inner_rows(row, path)
                    yield from ((number, each) for each in inner)


def _group_rows(
    file: InputFile, table: pq.ParquetFile, group: int, n_before: int, columns: Sequence[str]
) -> ParquetRows:
    n_done, damage = 0, None
    # After an error, again row by row: rows before the damaged one are intact.
    for n_rows in (_rows_per_batch(table.metadata.row_group(group)), 1):
        batches = table.iter_batches(n_rows, row_groups=[group], columns=list(columns), use_threads=False)
        start = 0
        while True:
            try:
                batch = next(batches, None)
            except ARROW_ERRORS as error:
                damage = damaged_file(error)
                break
            if batch is None:
                return
            if start >= n_done:
                yield from rows_of(file, batch, n_before + n_done)
                n_done += batch.num_rows
            start += batch.num_rows
    if damage is not None:
        yield n_before + n_done + 1, damage


def rows_of(file: InputFile, batch: pa.RecordBatch, n_before: int) -> ParquetRows:
    """Yield number and fields of the rows of a batch; its size counts as unpacked bytes.

    Raises:
        InputError: ``unpacks_too_large``.
    """
    try:
        file.budget.spend(batch.nbytes)
    except InputError as error:
        error.line = n_before + 1
        raise
    columns = [_values(column) for column in batch.columns]
    for number, values in enumerate(zip(*columns, strict=True), start=n_before + 1):
        problem = next((value for value in values if isinstance(value, InputError)), None)
        yield number, problem or dict(zip(batch.schema.names, values, strict=True))


def _values(column: pa.Array) -> list[Any]:
    """The values of a column; an error in place of a string that is not UTF-8."""
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return InputError("not_unicode", f"byte {error.start + 1} is not UTF-8: {error.reason}")


def _rows_per_batch(group: pq.RowGroupMetaData) -> int:
    """The number of rows that have about :data:`BATCH_BYTES` in all columns together."""
    n_bytes_per_row = group.total_byte_size / max(group.num_rows, 1)
    return max(1, min(MAX_BATCH_ROWS, int(BATCH_BYTES / max(n_bytes_per_row, 1))))


def column_of(schema: pa.Schema, name: str) -> str | None:
    """The column to read for a field: its own, or, for a path, a part of a struct column or a whole list column."""
    if name in schema.names:
        return name
    column, *path = name.split(".")
    if column not in schema.names:
        return None
    kind, is_in_list = schema.field(column).type, False
    for key in path:
        if pa.types.is_struct(kind) and kind.get_field_index(key) >= 0:
            kind = kind.field(key).type
            column = column if is_in_list else f"{column}.{key}"
        elif _is_list(kind) and key.isdecimal():
            kind, is_in_list = kind.value_type, True
        else:
            return None
    return column


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def damaged_file(error: Exception) -> InputError:
    """The read error for a library's exception, in one line."""
    first, *_ = str(error).splitlines() or [type(error).__name__]
    return InputError("damaged_file", first[:LONGEST_DETAIL])
