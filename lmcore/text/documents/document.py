"""Documents, read errors, and the schemas of the tables that hold them."""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

import pyarrow as pa

from lmcore.config.base import Split


@dataclass(frozen=True, slots=True)
class Document:
    """A text and its origin.

    Attributes:
        text: the text.
        label: its class, if the source has labels.
        source: the name of the source.
        package: the Python package that it documents, if any.
        path: the path of its file relative to the source, with forward slashes; the same on every machine.
        name: its title, or the name of the object that it documents, if any.
        kind: ``module``, ``class``, ``function``, ``method``, ``file``, ``part``, ``line`` or ``record``.
        line: the line of its file at which it starts, from 1; None for a whole file, or if the format has no lines.
        version: the version of the package.
        license: the license of the package or the source, an SPDX expression or a name.
        target: the expected completion of the text, such as a translation or a summary, if the source has targets.
        split: the split that the source assigns, if any.
        labels: its classes, if the source gives a document several; ``label`` is None then.
        messages: a conversation as the JSON text of a list of objects with ``role`` and ``content``
            (:mod:`lmcore.text.documents.messages`); ``text`` shows it to a reader.
        rejected: a worse completion than ``target``, for training on preferences.
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
    labels: tuple[str, ...] | None = None
    messages: str | None = None
    rejected: str | None = None


@dataclass(frozen=True, slots=True)
class ReadError:
    """Input that could not be read: where it is, and why; the rest of its source is still read."""

    source: str
    path: str
    line: int | None
    reason: str
    detail: str


class InputError(Exception):
    """Raised while reading input that gives no document; becomes a :class:`ReadError`.

    Attributes:
        reason: what is wrong, a constant in snake case.
        detail: what a person needs to find and fix it.
        line: the line of its file, from 1, if known.
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
        pa.field("labels", pa.list_(pa.string())),
        pa.field("messages", pa.string()),
        pa.field("rejected", pa.string()),
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
"""Columns of read errors."""

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
token, and entities (tokens from ``start`` to before ``end``), are null unless a trained pipeline annotates them."""

CLEAN_SCHEMA = pa.schema(
    [
        *RAW_SCHEMA,
        pa.field("id", pa.string(), nullable=False),
        pa.field("n_bytes", pa.int32(), nullable=False),
        pa.field("language", pa.string()),
        *ANALYSIS_SCHEMA,
    ]
)
"""Columns of clean documents: those of raw ones, the text's id, its size in UTF-8, and spaCy's analysis."""

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
"""Columns of the ledger: what happened to a document (``dropped``, ``changed``, ``unreadable``), by which rule, with
its score and threshold; the raw document; and, if it was changed, the id of the clean document."""


def to_table(rows: Iterable[Document | ReadError], schema: pa.Schema) -> pa.Table:
    """Make a table of records, whose columns are their attributes, in the order of the schema."""
    columns = list(zip(*map(attrgetter(*schema.names), rows), strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def is_unicode(text: str) -> bool:
    """Whether a text can be encoded in UTF-8: lone surrogates, which JSON allows, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
