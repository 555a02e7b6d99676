"""The dialect of a table: its delimiter, and whether values are quoted."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

QUOTE = '"'
DELIMITERS = {"csv": ",", "tsv": "\t", "psv": "|"}
KNOWN_DELIMITERS = (",", "\t", ";", "|")
SAMPLE_ROWS = 1_000
NUMBER = re.compile(r"[-+]?[0-9.]*(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known about a table before it is read.

    Attributes:
        columns: the names of all columns, if the table has no header.
        names: the names of the necessary columns.
    """

    columns: Sequence[str] | None
    names: Sequence[str]

    def fits(self, rows: Sequence[Sequence[str]], n_least: int) -> bool:
        """Whether all rows have as many values as there are columns, and the header has the necessary columns."""
        if not rows:
            return False
        columns = rows[0] if self.columns is None else self.columns
        header = {name.strip() for name in columns}
        return (
            len(columns) >= n_least and header.issuperset(self.names) and all(len(row) == len(columns) for row in rows)
        )


def fitting_delimiters(sample: str, expected: Expected) -> list[str]:
    """The known delimiters with which every row of a sample has all columns, and more than one."""
    return [delimiter for delimiter in KNOWN_DELIMITERS if _fits(sample, delimiter, expected, 2)]


def find_delimiter(sample: str, usual: str, expected: Expected) -> str:
    """The delimiter of a table: the usual one, unless exactly one other fits all rows and the usual one does not.

    If both fit, but the usual one is mostly followed by a space, as in prose, the other one is chosen.

    Args:
        sample: complete lines from the beginning of the table.
        usual: the delimiter of the format.
        expected: the columns of the table.
    """
    others = [delimiter for delimiter in fitting_delimiters(sample, expected) if delimiter != usual]
    if _fits(sample, usual, expected, 1):
        others = [delimiter for delimiter in others if _is_prose(sample, usual) and not _is_prose(sample, delimiter)]
    return others[0] if len(others) == 1 else usual


def encloses_values(sample: str, delimiter: str, n_columns: int) -> bool:
    """Whether quotation marks at the beginning of values enclose them or are ordinary characters.

    The interpretation in which more rows have all columns is right. If both fit, marks enclose values if doubled marks
    occur inside, as writers of quoted values escape them, or if all values but numbers have them; a table that quotes
    only where necessary has no marks around plain words.

    Args:
        sample: complete lines, the first of which contains such a mark.
        delimiter: the delimiter of the table.
        n_columns: its number of columns.
    """
    raw = _raw_rows(sample, delimiter)
    rows, n_lines = _enclosed_rows(sample, delimiter)
    n_raw_wrong = sum(len(row) != n_columns for row in raw)
    # The rest may be the beginning of a long value, unless it contains lines that are rows themselves.
    left = sample.split("\n")[n_lines:]
    n_enclosed_wrong = sum(row is None or len(row) != n_columns for row in rows) + sum(
        len(line.split(delimiter)) == n_columns for line in filter(None, left)
    )
    if n_raw_wrong or n_enclosed_wrong:
        return n_enclosed_wrong < n_raw_wrong
    enclosed = re.findall(
        rf'(?:^|{re.escape(delimiter)})"((?:[^"]|"")*)"(?={re.escape(delimiter)}|\r?$)', sample, re.MULTILINE
    )
    if any(value == "" or QUOTE in value for value in enclosed):
        return True
    if any(not {delimiter, "\n", "\r"} & set(value) for value in enclosed):
        return all(value.startswith(QUOTE) or NUMBER.fullmatch(value) for row in raw for value in row)
    return n_columns == 1


def is_raw(delimiter: str, quoting: str) -> bool:
    """Whether everything between delimiters belongs to the value, including quotation marks."""
    return quoting == "none" or len(delimiter) > 1


def _fits(sample: str, delimiter: str, expected: Expected, n_least: int) -> bool:
    if delimiter == "\t" and expected.fits(_raw_rows(sample, delimiter), n_least):
        return True
    rows, _ = _enclosed_rows(sample, delimiter)
    whole = [row for row in rows if row is not None]
    return len(whole) == len(rows) and expected.fits(whole, n_least)


def _is_prose(sample: str, delimiter: str) -> bool:
    return sample.count(f"{delimiter} ") * 2 > sample.count(delimiter)


def _raw_rows(sample: str, delimiter: str) -> list[list[str]]:
    lines = (line.rstrip("\r") for line in sample.split("\n"))
    return [line.split(delimiter) for line in islice(filter(None, lines), SAMPLE_ROWS)]


def _enclosed_rows(sample: str, delimiter: str) -> tuple[list[list[str] | None], int]:
    """The rows of a sample (None for a malformed one) and their number of lines, without a row that is cut off."""
    rows: list[list[str] | None] = []
    # A carriage return within a line would end it.
    lines = (line.removesuffix("\r").replace("\r", " ") + "\n" for line in sample.split("\n"))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    n_lines = 0
    while len(rows) < SAMPLE_ROWS:
        try:
            row = next(reader, None)
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                return rows, n_lines
            rows.append(None)
        else:
            if row is None:
                break
            rows += [row] if row else []
        n_lines = reader.line_num
    return rows, n_lines
