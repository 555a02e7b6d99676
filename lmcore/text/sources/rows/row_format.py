"""The format of a file's rows: configured, or recognized by its extension or its first bytes."""

import json

from lmcore.config.readers import RowFormat, RowSettings
from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.input_file import InputFile
from lmcore.text.sources.rows.dialects import DELIMITERS, Expected, fitting_delimiters
from lmcore.text.sources.rows.tables import SAMPLE_BYTES

FORMATS: dict[str, RowFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jl": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".psv": "psv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".conll": "conll",
    ".conllu": "conll",
}
"""By the extension of a file."""
TABLES = frozenset(DELIMITERS)
PARQUET_MARK = b"PAR1"


def row_format(file: InputFile, reader: RowSettings, names: tuple[str, ...]) -> RowFormat:
    """The format of a file's rows.

    Raises:
        InputError: ``unknown_format`` if neither its extension nor its first bytes show it; ``unreadable_file``,
            ``empty_file`` or another error while reading them.
    """
    by_ending = reader.format or FORMATS.get(file.format)
    if by_ending == "jsonl":
        return "json" if _is_indented_json(_beginning(file)) else "jsonl"
    if by_ending is not None:
        return by_ending
    found = _found_format(file, _beginning(file), reader, names)
    if found is None:
        ending = f"files with the extension {file.format}" if file.format else "files without an extension"
        known = "jsonl, json, csv, tsv, psv, parquet, arrow or conll"
        raise InputError("unknown_format", f"{ending} have no known format: set the reader's `format`, {known}")
    file.notes.add(file.path, f"read as {found}")
    return found


def _beginning(file: InputFile) -> bytes:
    with file.open_text() as stream:
        return stream.peek(1)[:SAMPLE_BYTES]


def _is_indented_json(head: bytes) -> bool:
    """Whether the first line is only an opening brace or bracket: indented JSON."""
    first, *more = head.split(b"\n", 1)
    return first.strip() in (b"{", b"[") and bool(more)


def _found_format(file: InputFile, head: bytes, reader: RowSettings, names: tuple[str, ...]) -> RowFormat | None:
    if head.startswith(PARQUET_MARK):
        return "parquet"
    if head.lstrip()[:1] in (b"{", b"["):
        first = head.lstrip().split(b"\n", 1)[0]
        try:
            return "jsonl" if isinstance(json.loads(first), dict) else "json"
        except ValueError:
            return "json"
    lines = head.decode(errors="replace").split("\n")
    sample = "\n".join(lines[:-1] if len(head) == SAMPLE_BYTES else lines)
    fitting = [reader.delimiter] if reader.delimiter else fitting_delimiters(sample, Expected(reader.columns, names))
    by_delimiter: dict[str, RowFormat] = {"\t": "tsv", "|": "psv"}
    return by_delimiter.get(fitting[0], "csv") if len(fitting) == 1 else None
