"""Comma-separated (RFC 4180) and tab-separated values as rows."""

import csv
import sys
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from io import BufferedReader
from typing import Self

from lmcore.text.documents import InputError
from lmcore.text.sources.encodings import not_unicode
from lmcore.text.sources.fields import Row
from lmcore.text.sources.lines import LINE_END, text_lines
from lmcore.text.sources.opening import InputFile
from lmcore.text.sources.streams import BUFFER_BYTES

TableRows = Iterator[tuple[int, Row | InputError]]
Values = Iterator[tuple[int, list[str] | InputError]]
QUOTE = b'"'


def tab_separated_rows(file: InputFile, columns: Sequence[str] | None, names: Sequence[str]) -> TableRows:
    """Yield line and fields of each row; a quotation mark is a character like any other.

    Args:
        file: to be read.
        columns: names of the columns; ``None`` where the first row holds them.
        names: of the fields that are needed.

    Raises:
        ValueError: if a needed field has no column.
        InputError: with its line, where the file cannot be read any further.
    """
    lines = text_lines(file)
    values: Values = (
        (line, text if isinstance(text, InputError) else text.split("\t")) for line, text in lines if text
    )
    return _rows(file, values, columns, names)


def comma_separated_rows(file: InputFile, columns: Sequence[str] | None, names: Sequence[str]) -> TableRows:
    """Yield fields of each row, and the line where it begins; what stands in quotation marks goes over lines.

    Behind a row that is malformed reading goes on with the next line, behind one that is too long where its last
    quotation mark is closed.

    Args:
        file: to be read.
        columns: names of the columns; ``None`` where the first row holds them.
        names: of the fields that are needed.

    Raises:
        ValueError: if a needed field has no column.
        InputError: with its line, where the file cannot be read any further.
    """
    return _rows(file, _comma_separated_values(file), columns, names)


def check_columns(file: InputFile, columns: Sequence[str], missing: Sequence[str]) -> None:
    """Make sure that no column is missing.

    Raises:
        ValueError: naming the source, the file, the missing ones and those that are there.
    """
    if missing:
        raise ValueError(
            f"source {file.source.name!r}: {file.path} has no column {', '.join(map(repr, missing))}; "
            f"its columns are {', '.join(map(repr, columns)) or 'none'}"
        )


def _rows(file: InputFile, values: Values, columns: Sequence[str] | None, names: Sequence[str]) -> TableRows:
    if columns is not None:
        check_columns(file, columns, [name for name in names if name not in columns])
    for line, row in values:
        if isinstance(row, InputError) and columns is None:
            row.line = line  # Without the names of the columns no row can be read.
            raise row
        if isinstance(row, InputError):
            yield line, row
        elif columns is None:
            columns = row
            check_columns(file, columns, [name for name in names if name not in columns])
        elif len(row) != len(columns):
            detail = f"{len(row)} values in a table of {len(columns)} columns"
            yield line, InputError("wrong_number_of_columns", detail)
        else:
            yield line, dict(zip(columns, row, strict=True))


def _comma_separated_values(file: InputFile) -> Values:
    # The reader's own limit of 128 KiB is below the length of many a text; ours is that of the lines it is given.
    csv.field_size_limit(sys.maxsize)
    first_line: int | None = 1
    while first_line is not None:
        first_line = yield from _values_from(first_line, file)


def _values_from(first_line: int, file: InputFile) -> Generator[tuple[int, list[str] | InputError], None, int | None]:
    """Yield the rows from a line on; return the line where to start again, if a quotation mark is never closed."""
    lines: _RowLines | None = None
    try:
        with file.open_text() as stream:
            lines = _RowLines(stream, file)
            lines.skip(first_line - 1)
            reader = csv.reader(lines, strict=True)
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
                    if values:
                        yield lines.begin, values if lines.problem is None else lines.problem
    except InputError as error:
        error.line = None if lines is None else lines.begin
        raise


class _RowLines:
    """The lines of a table for a reader that takes as many as a row has.

    Attributes:
        begin: where the row begins that is being read.
        problem: what is wrong with its bytes, if anything.
        is_unclosed: whether it has an odd number of quotation marks and no end.
    """

    def __init__(self, stream: BufferedReader, file: InputFile) -> None:
        self._stream = stream
        self._file = file
        self._n_at_most = file.max_bytes + len(LINE_END)
        self._line = 0
        self._waiting: deque[bytes] = deque()
        self.begin_row()

    def begin_row(self) -> None:
        """What is given from now on belongs to the next row."""
        self.begin = self._line + 1
        self.problem: InputError | None = None
        self.is_unclosed = False
        self._given: list[bytes] = []
        self._n_given = 0

    def give_back(self) -> None:
        """Give all lines of the row but the first one again: they may be rows of their own."""
        self._waiting.extendleft(reversed(self._given[1:]))
        self._line = self.begin

    def skip(self, n_lines: int) -> None:
        """Pass over some lines."""
        while self._line < n_lines and self._take(BUFFER_BYTES):
            pass
        self.begin_row()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        """The next line.

        Raises:
            InputError: ``too_long``, once the row was passed over; and whatever stops the reading.
        """
        content = self._take(self._n_at_most + 1 - self._n_given)
        if not content:
            raise StopIteration
        self._given.append(content)
        self._n_given += len(content)
        if self._n_given > self._n_at_most:
            self._pass_over()
            raise self._file.too_long("the row")
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            self.problem = not_unicode(error, self._line)
            return content.decode(errors="replace")

    def _take(self, n_at_most: int) -> bytes:
        content = self._waiting.popleft() if self._waiting else self._stream.readline(n_at_most)
        self._line += content.endswith(b"\n")
        return content

    def _pass_over(self) -> None:
        """Go to the end of the line on which all quotation marks are closed."""
        n_quotes = sum(content.count(QUOTE) for content in self._given)
        content = self._given[-1]
        self._given = []
        while content and not (content.endswith(b"\n") and n_quotes % 2 == 0):
            content = self._take(BUFFER_BYTES)
            n_quotes += content.count(QUOTE)
        self.is_unclosed = n_quotes % 2 == 1
