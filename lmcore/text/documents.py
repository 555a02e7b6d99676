"""Documents as records and as an Arrow table, and the faults met while reading them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.files import atomic_file
from lmcore.text.config import Split


@dataclass(frozen=True, slots=True)
class Document:
    """A text and where it comes from.

    Attributes:
        text: what the document says.
        label: the class it belongs to, where the source knows one.
        source: name of the source in ``params.yaml``.
        package: the Python package it documents, if any.
        path: of its file, relative to the source, with forward slashes: the same on every machine.
        name: what it documents or is called, if anything.
        kind: ``module``, ``class``, ``function``, ``method``, ``file``, ``line`` or ``record``.
        line: where it starts in its file, counted from 1; ``None`` for a whole file.
        version: of the package.
        license: of the package, an SPDX expression or a name.
        target: what the text is to become, where the source knows it: a translation, a summary.
        split: where it belongs, where the source knows it.
    """

    text: str
    label: str | None
    source: str
    package: str | None
    path: str
    name: str | None
    kind: str
    line: int | None
    version: str | None
    license: str | None
    target: str | None = None
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A piece of input that could not be read: which, where and why. The rest of its source is not lost."""

    source: str
    path: str
    line: int | None
    reason: str
    detail: str


class InputError(Exception):
    """A piece of input that gives no document.

    Attributes:
        reason: what is wrong with it, one word in snake case that stays the same.
        detail: what else a person needs to find and mend it.
        line: where in its file, counted from 1, if it is known.
    """

    def __init__(self, reason: str, detail: str, line: int | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.line = line


@dataclass(frozen=True, slots=True)
class Reading:
    """What a piece of a source held: documents, and the faults in between."""

    documents: list[Document] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def add(self, document: Document) -> None:
        """Take a document; one without text, or with text that is not Unicode, is a fault instead."""
        texts = [document.text] if document.target is None else [document.text, document.target]
        if not all(map(str.strip, texts)):
            self._add_fault(document, "empty_text", "there is no text")
        elif not all(map(is_unicode, texts)):
            self._add_fault(document, "not_unicode", "the text holds bytes that are not UTF-8, or half a character")
        else:
            self.documents.append(document)

    def _add_fault(self, document: Document, reason: str, detail: str) -> None:
        self.faults.append(Fault(document.source, document.path, document.line, reason, detail))


class Piece(Protocol):
    """A part of a source that one process reads: it can be sent to another process."""

    @property
    def size(self) -> int:
        """How much work it is, in the unit of its source's plan."""

    def read(self) -> Reading:
        """Its documents and faults, in an order that depends on their content alone."""


RAW_SCHEMA = pa.schema(
    [
        pa.field("text", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("package", pa.string()),
        pa.field("path", pa.string(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("line", pa.int32()),
        pa.field("version", pa.string()),
        pa.field("license", pa.string()),
        pa.field("target", pa.string()),
        pa.field("split", pa.string()),
    ]
)
"""Columns of ``data/raw/documents.parquet``."""

ANALYSIS_SCHEMA = pa.schema(
    [
        pa.field("n_words", pa.int32(), nullable=False),
        pa.field("token_ends", pa.list_(pa.int32()), nullable=False),
        pa.field("sentence_ends", pa.list_(pa.int32()), nullable=False),
    ]
)
"""What spaCy finds in a text: see :func:`lmcore.text.linguistics.analysis.analyze`."""

CLEAN_SCHEMA = pa.schema(
    [
        *RAW_SCHEMA,
        pa.field("id", pa.string(), nullable=False),
        pa.field("n_bytes", pa.int32(), nullable=False),
        *ANALYSIS_SCHEMA,
    ]
)
"""Columns of ``data/clean/documents.parquet``: also the text's id, its size in UTF-8, and spaCy's analysis."""

REASON_SCHEMA = pa.schema(
    [
        pa.field("rule", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("detail", pa.string()),
    ]
)
"""Why a document was dropped: fields of :class:`lmcore.text.cleaning.filters.Drop`."""

LEDGER_SCHEMA = pa.schema([*RAW_SCHEMA, *REASON_SCHEMA])
"""Columns of ``data/clean/ledger.parquet``: a raw document and why it was dropped."""


def to_table(documents: Iterable[Document]) -> pa.Table:
    """Documents as a table with the columns of :data:`RAW_SCHEMA`, in the same order."""
    rows = zip(*map(attrgetter(*RAW_SCHEMA.names), documents), strict=True)
    columns = list(rows) or [()] * len(RAW_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, RAW_SCHEMA, strict=True)]
    return pa.table(arrays, schema=RAW_SCHEMA)


def read_table(path: Path) -> pa.Table:
    """A whole Parquet file in memory.

    Raises:
        FileNotFoundError: if the stage that writes it has not run.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run the stage that writes it, or all of them with `dvc repro`")
    return pq.read_table(path)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet; equal tables give equal bytes with the same version of pyarrow."""
    with atomic_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", compression_level=3, row_group_size=16_384)


def is_unicode(text: str) -> bool:
    """Whether every character is a Unicode character: lone surrogates, which JSON can hold, are none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
