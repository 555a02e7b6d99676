"""Tables as rows: values with commas (RFC 4180), tabs or anything else between them."""

import csv
import re
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from lmcore.config.collect import RecordFields
from lmcore.errors import UserError
from lmcore.text.documents.document import InputError
from lmcore.text.sources.files.input_file import InputFile
from lmcore.text.sources.rows.dialects import DELIMITERS, QUOTE, Expected, encloses_values, find_delimiter, is_raw
from lmcore.text.sources.rows.nested_rows import Row
from lmcore.text.sources.rows.table_lines import RETURN_WITHIN, RowLines

TableRows = Iterator[tuple[int, Row | InputError]]
Values = Iterator[tuple[int, list[str] | InputError]]

SAMPLE_BYTES = 2**17
SAID_DELIMITER = re.compile(r"sep=([^\r\n])\r?\n")
"""What Excel takes the first line of a table for."""


def table_rows(file: InputFile, reader: RecordFields, names: Sequence[str], kind: str) -> TableRows:
    """Yield fields of each row, and the line where it begins; what stands in quotation marks goes over lines.

    Behind a row that is malformed reading goes on with the next line, behind one that is too long where its last
    quotation mark is closed.

    Args:
        file: to be read.
        reader: says how it is written, and what its columns are called if the first row does not.
        names: of the fields that are needed.
        kind: ``csv``, ``tsv`` or ``psv``.

    Raises:
        ValueError: if a needed field has no column, or two.
        InputError: with its line, where the file cannot be read any further.
    """
    columns: Sequence[str] | None = reader.columns
    if columns is not None:
        check_columns(file, columns, names)
    is_first = True
    for line, row in _values(file, reader, Expected(columns, names), kind):
        if isinstance(row, InputError):
            if columns is None:
                row.line = line  # Without the names of the columns no row can be read.
                raise row
            yield line, row
        elif columns is None:
            columns = [name.strip() for name in row]
            check_columns(file, columns, names, is_header=True)
        elif len(row) < len(columns) or any(row[len(columns) :]):
            detail = f"{len(row)} values in a table of {len(columns)} columns"
            yield line, InputError("wrong_number_of_columns", detail)
        elif not (is_first and [value.strip() for value in row] == [*columns]):  # It has a header all the same.
            yield line, dict(zip(columns, row, strict=False))  # Delimiters at the end of a row hold nothing.
        is_first = False


def check_columns(file: InputFile, columns: Sequence[str], names: Sequence[str], *, is_header: bool = False) -> None:
    """Make sure that every name is that of one column.

    Raises:
        ValueError: naming the source, the file, what is missing or there twice, and the columns that are there.
    """
    missing = [name for name in names if name not in columns]
    if missing:
        advice = "; if that is no header, name the columns in `columns`" if is_header else ""
        raise UserError(
            f"source {file.source.name!r}: {file.path} has no column {', '.join(map(repr, missing))}; "
            f"its columns are {', '.join(f'{name!r:.60}' for name in columns) or 'none'}{advice}"
        )
    repeated = sorted({name for name in names if list(columns).count(name) > 1})
    if repeated:
        raise UserError(f"source {file.source.name!r}: {file.path} has two columns {', '.join(map(repr, repeated))}")


@dataclass(slots=True)
class _Dialect:
    """How the table is written, as far as it is known; whether quotation marks enclose values may have to wait."""

    delimiter: str
    encloses: bool | None


def _values(file: InputFile, reader: RecordFields, expected: Expected, kind: str) -> Values:
    # The reader's own limit of 128 KiB is below the length of many a text; ours is that of the lines it is given.
    csv.field_size_limit(sys.maxsize)
    dialect: _Dialect | None = None
    first_line: int | None = 1
    lines: RowLines | None = None
    try:
        while first_line is not None:
            with file.open_text() as stream:
                lines = RowLines(stream, file)
                lines.skip(first_line - 1)
                dialect = dialect or _dialect(lines, file, reader, expected, kind)
                first_line = yield from _values_from(lines, file, expected, dialect)
    except InputError as error:
        error.line = None if lines is None else lines.begin
        raise


def _dialect(lines: RowLines, file: InputFile, reader: RecordFields, expected: Expected, kind: str) -> _Dialect:
    usual = DELIMITERS[kind]
    delimiter = reader.delimiter
    if (said := SAID_DELIMITER.match(lines.look_ahead(SAMPLE_BYTES))) is not None:
        lines.next_row()
        delimiter = delimiter or said[1]
    if delimiter is None:
        delimiter = find_delimiter(lines.look_ahead(SAMPLE_BYTES), usual, expected)
        if delimiter != usual:
            file.notes.add(file.path, f"read as a table with {delimiter!r} between the values")
    if is_raw(delimiter, reader.quoting):
        return _Dialect(delimiter, encloses=False)
    # Tab-separated tables are written either way; all others would be ambiguous without quotation marks.
    return _Dialect(delimiter, encloses=None if reader.quoting == "auto" and delimiter == "\t" else True)


def _values_from(
    lines: RowLines, file: InputFile, expected: Expected, dialect: _Dialect
) -> Generator[tuple[int, list[str] | InputError], None, int | None]:
    """Yield the rows; return the line where to start again, if a quotation mark is never closed."""
    if not dialect.encloses:
        yield from _raw_values(lines, file, expected, dialect)
    return (yield from _enclosed_values(lines, dialect)) if dialect.encloses else None


def _enclosed_values(
    lines: RowLines, dialect: _Dialect
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


def _raw_values(lines: RowLines, file: InputFile, expected: Expected, dialect: _Dialect) -> Values:
    """Yield the rows of lines, up to the first value that is found to be enclosed in quotation marks."""
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
    """How many columns the header has, with which the sample begins."""
    return len(next(csv.reader(sample.split("\n"), delimiter=dialect.delimiter), []))
