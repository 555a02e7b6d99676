"""JSON lines and comma-separated values: one document per row."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from lmcore.text.config import Records
from lmcore.text.documents import Document, Fault, Reading

Row = tuple[int, dict[str, Any]]


class RowError(ValueError):
    """A row that gives no document: its line, the reason's name and what was wrong."""

    def __init__(self, line: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.line, self.reason, self.detail = line, reason, detail


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
            ValueError: if a CSV file has no column of a named field.
        """
        reading = Reading()
        rows = _json_rows if self.config.path.suffix == ".jsonl" else _csv_rows
        # Bytes that are not UTF-8 become surrogates, so that only their own row is lost.
        with self.config.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            for row in rows(file, self.config):
                try:
                    if isinstance(row, RowError):
                        raise row
                    reading.add(self._document(*row))
                except RowError as error:
                    reading.faults.append(
                        Fault(self.config.name, self.config.path.name, error.line, error.reason, error.detail)
                    )
        return reading

    def _document(self, line: int, row: dict[str, Any]) -> Document:
        text = row.get(self.config.text_field)
        if self.config.text_field not in row:
            raise RowError(line, "missing_field", f"there is no field {self.config.text_field!r}")
        if not isinstance(text, str):
            kind = type(text).__name__
            raise RowError(line, "text_not_string", f"field {self.config.text_field!r} holds a {kind}, not a string")
        return Document(
            text=text,
            label=_word(line, row, self.config.label_field),
            source=self.config.name,
            package=None,
            path=self.config.path.name,
            name=_word(line, row, self.config.name_field),
            kind="record",
            line=line,
            version=None,
            license=None,
        )


def plan_records(config: Records) -> list[RecordPiece]:
    """The file as one piece of work.

    Raises:
        ValueError: if it is not there.
    """
    if not config.path.is_file():
        raise ValueError(f"source {config.name!r}: there is no file {config.path}")
    return [RecordPiece(config)]


def _word(line: int, row: dict[str, Any], field: str | None) -> str | None:
    """A label or name: a string, a whole number as its digits, or nothing."""
    if field is None:
        return None
    if field not in row:
        raise RowError(line, "missing_field", f"there is no field {field!r}")
    value = row[field]
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise RowError(line, "not_unicode", f"field {field!r} is not Unicode, or its bytes are not UTF-8") from None
        return value
    if isinstance(value, int):
        return str(value)
    raise RowError(line, "field_not_word", f"field {field!r} holds a {type(value).__name__}, not a word or a number")


def _json_rows(file: TextIO, config: Records) -> Iterator[Row | RowError]:
    for line, content in enumerate(file, start=1):
        if content.isspace():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            yield RowError(line, "malformed_json", str(error))
            continue
        if isinstance(row, dict):
            yield line, row
        else:
            yield RowError(line, "not_an_object", f"the line holds a {type(row).__name__}, not an object")


def _csv_rows(file: TextIO, config: Records) -> Iterator[Row | RowError]:
    csv.field_size_limit(2**31 - 1)  # The limit of 128 KiB is below the length of many a text.
    reader = csv.reader(file)
    header = next(reader, [])
    fields = (config.text_field, config.label_field, config.name_field)
    missing = [field for field in fields if field is not None and field not in header]
    if missing:
        raise ValueError(
            f"source {config.name!r}: {config.path} has no column {', '.join(missing)}; "
            f"its columns are {', '.join(header) or '(none: the file is empty)'}"
        )
    start = reader.line_num + 1
    for values in reader:
        if len(values) == len(header):
            yield start, dict(zip(header, values, strict=True))
        elif values:
            detail = f"the row has {len(values)} values, the header has {len(header)} columns"
            yield RowError(start, "wrong_number_of_values", detail)
        start = reader.line_num + 1
