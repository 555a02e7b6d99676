"""Files whose rows are documents: JSON, tables, Parquet."""

from collections.abc import Callable, Iterator

from lmcore.text.documents import Document, Fault, InputError
from lmcore.text.sources.config import RecordFields
from lmcore.text.sources.fields import Fields, Row
from lmcore.text.sources.json_rows import json_line_rows, json_rows
from lmcore.text.sources.opening import InputFile
from lmcore.text.sources.parquet_rows import parquet_rows
from lmcore.text.sources.tables import comma_separated_rows, tab_separated_rows

Rows = Iterator[tuple[int, Row | InputError]]
"""Line (of Parquet: number) of each row, and its fields or what is wrong with it."""

ROWS: dict[str, Callable[[InputFile, RecordFields, tuple[str, ...]], Rows]] = {
    ".jsonl": lambda file, reader, names: json_line_rows(file),
    ".ndjson": lambda file, reader, names: json_line_rows(file),
    ".json": lambda file, reader, names: json_rows(file),
    ".csv": lambda file, reader, names: comma_separated_rows(file, reader.columns, names),
    ".tsv": lambda file, reader, names: tab_separated_rows(file, reader.columns, names),
    ".parquet": lambda file, reader, names: parquet_rows(file, names),
}
"""By the format of a file: starts to read the rows, of which the named fields are needed."""


def read_records(file: InputFile, reader: RecordFields) -> Iterator[Document | Fault]:
    """Yield a document per row, in the order of the rows.

    Raises:
        ValueError: if a template is wrong, or a table has no column for a named field.
        InputError: with its line, where the file cannot be read any further.
    """
    fields = Fields.parse(reader, file.source.name)
    rows = ROWS.get(file.format)
    if rows is None:
        detail = f"{file.format or 'a file without an ending'} holds no rows; known are {', '.join(ROWS)}"
        raise InputError("unknown_format", detail)
    for line, row in rows(file, reader, fields.names):
        if isinstance(row, InputError):
            yield file.fault(row, line)
            continue
        try:
            text = fields.text.text(row)
            label = None if fields.label is None else fields.label.word(row)
            target = None if fields.target is None else fields.target.text(row)
            name = None if fields.name is None else fields.name.word(row)
        except InputError as error:
            yield file.fault(error, line)
        else:
            yield file.document(text, kind="record", line=line, label=label, name=name, target=target)
