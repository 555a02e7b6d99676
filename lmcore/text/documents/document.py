"""Documents as records and as Arrow tables, and the read errors met while reading them."""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

import pyarrow as pa

from lmcore.config.base import Split


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
        kind: ``module``, ``class``, ``function``, ``method``, ``file``, ``part``, ``line`` or ``record``.
        line: where it starts in its file, counted from 1; ``None`` for a whole file or where a
            format has no lines.
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
class ReadError:
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


RAW_SCHEMA = pa.schema(
    [
        pa.field("text", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("package", pa.string()),
        pa.field("path", pa.string(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("line", pa.int64()),
        pa.field("version", pa.string()),
        pa.field("license", pa.string()),
        pa.field("target", pa.string()),
        pa.field("split", pa.string()),
    ]
)
"""Columns of raw documents."""

READ_ERROR_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("line", pa.int64()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)
"""Columns of what could not be read."""

ENTITY = pa.struct(
    [
        pa.field("start", pa.int32(), nullable=False),
        pa.field("end", pa.int32(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
    ]
)
ANALYSIS_SCHEMA = pa.schema(
    [
        pa.field("n_words", pa.int32(), nullable=False),
        pa.field("token_ends", pa.list_(pa.int32()), nullable=False),
        pa.field("sentence_ends", pa.list_(pa.int32()), nullable=False),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("lemmas", pa.list_(pa.string())),
        pa.field("entities", pa.list_(ENTITY)),
    ]
)
"""What spaCy finds in a text: see :func:`lmcore.text.words.analysis.analyze`. Part of speech and lemma of each
token, and entities (tokens from ``start`` to before ``end``), are null where no trained pipeline was asked for them."""

CLEAN_SCHEMA = pa.schema(
    [
        *RAW_SCHEMA,
        pa.field("id", pa.string(), nullable=False),
        pa.field("n_bytes", pa.int32(), nullable=False),
        pa.field("language", pa.string()),
        *ANALYSIS_SCHEMA,
    ]
)
"""Columns of clean documents: also the text's id, its size in UTF-8, and spaCy's analysis."""

LEDGER_SCHEMA = pa.schema(
    [
        pa.field("action", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("detail", pa.string()),
        pa.field("id", pa.string()),
        *(field.with_nullable(True) for field in RAW_SCHEMA),
    ]
)
"""Columns of the ledger: what happened to a document (``dropped``, ``changed``, ``unreadable``), by which rule and with
which figures, the raw document, and the id of the clean document that it was changed to."""


def to_table(rows: Iterable[Document | ReadError], schema: pa.Schema) -> pa.Table:
    """Records as a table whose columns are their attributes, in the same order."""
    columns = list(zip(*map(attrgetter(*schema.names), rows), strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def is_unicode(text: str) -> bool:
    """Whether every character is a Unicode character: lone surrogates, which JSON can hold, are none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
