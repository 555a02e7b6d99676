"""JSON lines, comma-separated and tab-separated values: one document per row."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TextIO

from lmcore.text.config import Records
from lmcore.text.documents import Document, Fault, Reading, is_unicode
from lmcore.text.sources.opening import DAMAGED, check_is_file, open_text

LONGEST_CSV_FIELD = 2**31 - 1

Row = dict[str, Any]
# Where a row begins, and how to get at its fields: a row that cannot be parsed says so when it is asked.
Rows = Iterator[tuple[int, Callable[[], Row]]]


class RowError(ValueError):
    """A row that gives no document, with the name of the reason."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RecordPiece:
    """One file of rows: the piece of work of :class:`Records`."""

    config: Records

    @property
    def size(self) -> int:
        """One file."""
        return 1

    def read(self) -> Reading:
        """One document per usable row, in the order of the rows.

        Raises:
            ValueError: if a table has no column of a named field.
        """
        reading, line = Reading(), 0
        config, rows = self.config, _json_rows if self.config.format == ".jsonl" else _table_rows
        with open_text(config.path) as file:
            try:
                for line, parse in rows(file, config):
                    try:
                        reading.add(self._document(line, parse()))
                    except RowError as error:
                        reading.faults.append(self._fault(line, error.reason, str(error)))
            except DAMAGED as error:
                reading.faults.append(self._fault(line + 1, "damaged_file", str(error) or "cut off"))
        return reading

    def _fault(self, line: int, reason: str, detail: str) -> Fault:
        return Fault(self.config.name, self.config.path.name, line, reason, detail)

    def _document(self, line: int, row: Row) -> Document:
        config = self.config
        return Document(
            text=_text(row, config.text_field),
            label=_word(row, config.label_field),
            source=config.name,
            package=None,
            path=config.path.name,
            name=_word(row, config.name_field),
            kind="record",
            line=line,
            version=None,
            license=None,
            target=None if config.target_field is None else _text(row, config.target_field),
            split=config.split,
        )


def plan_records(config: Records) -> list[RecordPiece]:
    """The file as one piece of work.

    Raises:
        ValueError: if it is not there.
    """
    check_is_file(config.name, config.path)
    return [RecordPiece(config)]


def _field(row: Row, name: str) -> Any:
    if name not in row:
        raise RowError("missing_field", f"there is no field {name!r}")
    return row[name]


def _text(row: Row, name: str) -> str:
    text = _field(row, name)
    if not isinstance(text, str):
        raise RowError("not_a_string", f"field {name!r} holds a {type(text).__name__}, not a string")
    return text


def _word(row: Row, name: str | None) -> str | None:
    """A label or a name: a string, the digits of a whole number, or nothing."""
    value = None if name is None else _field(row, name)
    if value is None or value == "":
        return None
    if not isinstance(value, str | int):
        raise RowError("not_a_string", f"field {name!r} holds a {type(value).__name__}, not a string")
    if not is_unicode(word := str(value)):
        raise RowError("not_unicode", f"field {name!r} holds bytes that are not UTF-8")
    return word


def _json_rows(file: TextIO, _: Records) -> Rows:
    for line, content in enumerate(file, start=1):
        if not content.isspace():
            yield line, partial(_json_object, content)


def _json_object(content: str) -> Row:
    try:
        row = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RowError("malformed_json", str(error)) from error
    if not isinstance(row, dict):
        raise RowError("not_an_object", f"the line holds a {type(row).__name__}, not an object")
    return row


def _table_rows(file: TextIO, config: Records) -> Rows:
    csv.field_size_limit(LONGEST_CSV_FIELD)  # The default of 128 KiB is below the length of many a text.
    # A quotation mark is a character like any other where tabs separate.
    reader = csv.reader(file) if config.format == ".csv" else csv.reader(file, "excel-tab", quoting=csv.QUOTE_NONE)
    header = next(reader, [])
    fields = (config.text_field, config.label_field, config.target_field, config.name_field)
    missing = [field for field in fields if field is not None and field not in header]
    if missing:
        raise ValueError(
            f"source {config.name!r}: {config.path} has no column {', '.join(missing)}; "
            f"its columns are {', '.join(header) or 'none: the file is empty'}"
        )
    begin = reader.line_num + 1
    for values in reader:
        if values:
            yield begin, partial(_table_object, header, values)
        begin = reader.line_num + 1


def _table_object(header: list[str], values: list[str]) -> Row:
    if len(values) != len(header):
        raise RowError("wrong_number_of_values", f"{len(values)} values in a table of {len(header)} columns")
    return dict(zip(header, values, strict=True))
