"""Files whose rows are documents: JSON, tables, Parquet, CoNLL."""

from collections.abc import Iterator

from lmcore.config.readers import RecordFields, RowSettings
from lmcore.errors import UserError
from lmcore.text.documents.document import Document, InputError, ReadError
from lmcore.text.sources.input_files.input_file import InputFile
from lmcore.text.sources.rows.arrow_rows import arrow_rows
from lmcore.text.sources.rows.babi import question_rows
from lmcore.text.sources.rows.conll import sentence_rows
from lmcore.text.sources.rows.fields import MISSING, Fields, field_value
from lmcore.text.sources.rows.json_rows import json_line_rows, json_rows
from lmcore.text.sources.rows.nested_rows import Row, listed
from lmcore.text.sources.rows.parquet_rows import parquet_rows
from lmcore.text.sources.rows.row_format import row_format
from lmcore.text.sources.rows.tables import table_rows

Rows = Iterator[tuple[int, Row | InputError]]
"""The line of each row (its number in Parquet and Arrow), and its fields or an error."""


def read_records(file: InputFile, reader: RecordFields) -> Iterator[Document | ReadError]:
    """Yield a document per row, in the order of the rows.

    Only the text is required: the label, target and name may be missing or null. If no row of the file has such a
    field, a warning is noted.

    Raises:
        UserError: if a template is wrong, or a table has no column for a configured field.
        InputError: with its line, if the rest of the file cannot be read.
    """
    fields = Fields.parse(reader, file.source.name)
    never_seen = set(fields.optional_names)
    first: Row | None = None
    for line, row in rows_of_file(file, reader, fields.names):
        if isinstance(row, InputError):
            yield file.read_error(row, line)
            continue
        first = row if first is None else first
        if never_seen:
            never_seen = {name for name in never_seen if field_value(row, name) is MISSING}
        try:
            text, target = fields.text_and_target(row)
            label, labels = fields.label_and_labels(row)
            name = None if fields.name is None else fields.name.word(row)
        except InputError as error:
            yield file.read_error(error, line)
        else:
            yield file.document(text, kind="record", line=line, label=label, labels=labels, name=name, target=target)
    if first is not None and never_seen:
        missing = ", ".join(map(repr, sorted(never_seen)))
        file.notes.add(file.path, f"without {missing} in any row; the first row has {listed(first)}", is_warning=True)


def rows_of_file(file: InputFile, reader: RowSettings, names: tuple[str, ...] | None) -> Rows:
    """Read the rows of a file, with at least the fields ``names``; None: all fields.

    Raises:
        UserError: if nested rows are configured for a table.
        InputError: ``unknown_format``.
    """
    path = () if reader.rows is None else tuple(reader.rows.split("."))
    match row_format(file, reader, names or ()):
        case "jsonl":
            return json_line_rows(file, path)
        case "json":
            return json_rows(file, path)
        case "parquet":
            return parquet_rows(file, names, path)
        case "arrow":
            return arrow_rows(file, names, path)
        case kind if path:
            raise UserError(f"source {file.source.name!r}: `rows` needs JSON, Parquet or Arrow; {file.path} is {kind}")
        case "babi":
            return question_rows(file)
        case "conll":
            return sentence_rows(file, reader.columns, reader.delimiter)
        case kind:
            return table_rows(file, reader, names or (), kind)
