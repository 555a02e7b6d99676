"""Rows of tables whose values are separated by commas (RFC 4180), tabs or another delimiter."""

import csv
import re
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from lmcore.config.readers import RowSettings
from lmcore.errors import UserError
from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.input_file import InputFile
from lmcore.text.sources.rows.dialects import DELIMITERS, QUOTE, Expected, encloses_values, find_delimiter, is_raw
from lmcore.text.sources.rows.nested_rows import Row
from lmcore.text.sources.rows.table_lines import RETURN_WITHIN, TableLines

TableRows = Iterator[tuple[int, Row | InputError]]
Values = Iterator[tuple[int, list[str] | InputError]]

SAMPLE_BYTES = 2**17
DECLARED_DELIMITER = re.compile(r"sep=([^\r\n])\r?\n")
"""A first line that declares the delimiter, as for Excel."""


def table_rows(file: InputFile, reader: RowSettings, names: Sequence[str], kind: str) -> TableRows:
    """Yield the line where each row begins, and its fields; values in quotation marks may contain line ends.

    After a malformed row, reading continues with the next line; after one that is too long, where its last quotation
    mark is closed.

    Args:
        file: the file.
        reader: the configuration: delimiter, quoting, and the names of columns if the table has no header.
        names: the names of the necessary fields.
        kind: ``csv``, ``tsv`` or ``psv``.

    Raises:
        UserError: if a necessary field has no column, or two.
        InputError: with its line, if the rest of the file cannot be read.
    """
    columns: Sequence[str] | None = reader.columns
    if columns is not None:
        check_columns(file, columns, names)
    is_first = True
    for line, row in _values(file, reader, Expected(columns, names), kind):
        if isinstance(row, InputError):
            if columns is None:
                row.line = line  # Without a header no row can be read.
                raise row
            yield line, row
        elif columns is None:
            columns = [name.strip() for name in row]
            check_columns(file, columns, names, is_header=True)
        elif len(row) < len(columns) or any(row[len(columns) :]):
            detail = f"{len(row)} values in a table of {len(columns)} columns"
            yield line, InputError("wrong_number_of_columns", detail)
        elif not (is_first and [value.strip() for value in row] == [*columns]):  # Not a header after all.
            yield line, dict(zip(columns, row, strict=False))  # Empty values at the end of a row are dropped.
        is_first = False


def check_columns(file: InputFile, columns: Sequence[str], names: Sequence[str], *, is_header: bool = False) -> None:
    """Check that every name is the name of exactly one column.

    Raises:
        UserError: with the source, the file, the missing or repeated names, and the existing columns.
    """
    missing = [name for name in names if name not in columns]
    if missing:
        advice = "; if the first row is not a header, name the columns in `columns`" if is_header else ""
        raise UserError(
            f"source {file.source.name!r}: {file.path} has no column {', '.join(map(repr, missing))}; "
            f"its columns are {', '.join(f'{name!r:.60}' for name in columns) or 'none'}{advice}"
        )
    repeated = sorted({name for name in names if list(columns).count(name) > 1})
    if repeated:
        raise UserError(
            f"source {file.source.name!r}: {file.path} has several columns named {', '.join(map(repr, repeated))}"
        )


@dataclass(slots=True)
class _Dialect:
    """The dialect of a table; whether quotation marks enclose values may not be known yet (None)."""

    delimiter: str
    encloses: bool | None


def _values(file: InputFile, reader: RowSettings, expected: Expected, kind: str) -> Values:
    # The csv module's limit of 128 KiB is too small for texts; the size of rows is limited by TableLines.
    csv.field_size_limit(sys.maxsize)
    dialect: _Dialect | None = None
    first_line: int | None = 1
    lines: TableLines | None = None
    try:
        while first_line is not None:
            with file.open_text() as stream:
                lines = TableLines(stream, file)
                lines.skip(first_line - 1)
                dialect = dialect or _dialect(lines, file, reader, expected, kind)
                first_line = yield from _values_from(lines, file, expected, dialect)
    except InputError as error:
        error.line = None if lines is None else lines.begin
        raise


def _dialect(lines: TableLines, file: InputFile, reader: RowSettings, expected: Expected, kind: str) -> _Dialect:
    usual = DELIMITERS[kind]
    delimiter = reader.delimiter
    if (declared := DECLARED_DELIMITER.match(lines.look_ahead(SAMPLE_BYTES))) is not None:
        lines.next_row()
        delimiter = delimiter or declared[1]
    if delimiter is None:
        delimiter = find_delimiter(lines.look_ahead(SAMPLE_BYTES), usual, expected)
        if delimiter != usual:
            file.notes.add(file.path, f"read as a table with {delimiter!r} between the values")
    if is_raw(delimiter, reader.quoting):
        return _Dialect(delimiter, encloses=False)
    # Tab-separated tables exist with and without quoting; other tables would be ambiguous without it.
    return _Dialect(delimiter, encloses=None if reader.quoting == "auto" and delimiter == "\t" else True)


def _values_from(
    lines: TableLines, file: InputFile, expected: Expected, dialect: _Dialect
) -> Generator[tuple[int, list[str] | InputError], None, int | None]:
    """Yield the rows; returns the line to start again from if a quotation mark is never closed."""
    if not dialect.encloses:
        yield from _raw_values(lines, file, expected, dialect)
    return (yield from _enclosed_values(lines, dialect)) if dialect.encloses else None


def _enclosed_values(
    lines: TableLines, dialect: _Dialect
) -> Generator[tuple[int, list[str] | InputError], None, int | None]:
    reader = csv.reader(lines, strict=True, delimiter=dialect.delimiter)
    while True:
        lines.begin_row()
        try:
            values = next(reader)
        except StopIteration:
            return None
        except csv.Error as error:
            yield lines.begin, InputError("malformed_csv", str(error))
            lines.give_back()
        except InputError as error:
            if error.reason != "too_long":
                raise
            yield lines.begin, error
            if lines.is_unclosed:
                return lines.begin + 1
        else:
            if lines.has_returns:
                values = [value.replace(RETURN_WITHIN, "\r") for value in values]
            if values:
                yield lines.begin, values if lines.problem is None else lines.problem


def _raw_values(lines: TableLines, file: InputFile, expected: Expected, dialect: _Dialect) -> Values:
    """Yield a row per line, up to the first value that is enclosed in quotation marks."""
    n_columns = None if expected.columns is None else len(expected.columns)
    mark = f"{dialect.delimiter}{QUOTE}"
    while True:
        lines.begin_row()
        try:
            row = lines.next_row()
        except InputError as error:
            if error.reason != "too_long":
                raise
            yield lines.begin, error
            continue
        if row is None:
            return
        if dialect.encloses is None and (row.startswith(QUOTE) or mark in row):
            lines.give_row_back()
            sample = lines.look_ahead(SAMPLE_BYTES)
            dialect.encloses = encloses_values(sample, dialect.delimiter, n_columns or _n_columns(sample, dialect))
            if dialect.encloses:
                file.notes.add(file.path, "read as a table with values in quotation marks")
                return
            continue
        if row:
            values = row.split(dialect.delimiter)
            n_columns = n_columns or len(values)
            yield lines.begin, values if lines.problem is None else lines.problem


def _n_columns(sample: str, dialect: _Dialect) -> int:
    """The number of columns in the first line of a sample."""
    return len(next(csv.reader(sample.split("\n"), delimiter=dialect.delimiter), []))
