"""How the documents of a source are read from its files."""

import codecs
import re
from string import Formatter
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    PositiveInt,
    StringConstraints,
    field_validator,
)

from lmcore.config.base import Config, Name

RowFormat = Literal["jsonl", "json", "csv", "tsv", "psv", "parquet", "arrow", "conll", "babi"]
PATH_PARTS = ("file", "stem", "ending", "folder")
NOT_FOR_FILES = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})
"""Encodings that Python knows but text files do not use."""


def _known_encoding(name: str) -> str:
    """Return the name of a text encoding unchanged.

    Raises:
        ValueError: if Python does not know it.
    """
    try:
        if codecs.lookup(name).name in NOT_FOR_FILES:
            raise LookupError
        "a".encode(name)
    except (LookupError, ValueError):
        known = "utf-8, utf-16, windows-1252, latin-1, gb18030, big5, shift_jis, euc-kr or koi8-r"
        raise ValueError(f"unknown encoding {name!r}; use one such as {known}, or null to detect it") from None
    return name


EncodingName = Annotated[str, AfterValidator(_known_encoding)]
"""A text encoding that Python knows, under any of its names."""


def _is_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a valid regular expression: {error}") from None
    return pattern


class Docstrings(Config):
    """Every docstring of a Python module is a document."""

    kind: Literal["docstrings"]


class DivisionBySize(Config):
    """Parts of at most ``max_characters``, split after a paragraph, or else after a line, a sentence or a word."""

    kind: Literal["size"]
    max_characters: Annotated[int, Field(ge=100)]


class DivisionAtHeadings(Config):
    """A new part begins at each heading."""

    kind: Literal["headings"]
    pattern: Annotated[str, AfterValidator(_is_pattern)] | None
    """A regular expression that matches headings and no other line, such as ``^CHAPTER ``. None: Markdown headings."""


class DivisionAtBlankLines(Config):
    """A new part begins after ``min_lines`` or more blank lines."""

    kind: Literal["blank_lines"]
    min_lines: PositiveInt


Division = Annotated[DivisionBySize | DivisionAtHeadings | DivisionAtBlankLines, Field(discriminator="kind")]


class WholeFiles(Config):
    """Every file is a document: plain text, Markdown, web pages, notebooks, books and office documents.

    Its label is the first folder below the source's path, if there is one.
    """

    kind: Literal["whole_files"]
    encoding: EncodingName | None
    """None: detected; web pages declare their own."""
    divide: Division | None
    """How a file is divided into several documents; None: it is one document."""


class TextLines(Config):
    """Every line of a file is a document."""

    kind: Literal["lines"]
    label: Name | None
    """Label of all lines of a file: a constant, or a template of ``{file}`` (the file name), ``{stem}``, ``{ending}``
    and ``{folder}`` (the first folder below the source's path)."""
    encoding: EncodingName | None
    """None: detected."""

    @field_validator("label")
    @classmethod
    def _names_parts_of_a_path(cls, label: str | None) -> str | None:
        fields = [name for _, name, *_ in Formatter().parse(label or "") if name is not None]
        if unknown := sorted(set(fields) - set(PATH_PARTS)):
            raise ValueError(
                f"{{{unknown[0]}}} is not a placeholder of a label; expected one of {', '.join(PATH_PARTS)}"
            )
        return label


class ParallelLines(Config):
    """Two files with a text and its target (a translation, for example) on the same line of each."""

    kind: Literal["parallel_lines"]
    encoding: EncodingName | None
    """None: detected for each file."""


class RowSettings(Config):
    """How the rows of a JSON, CSV, Parquet, Arrow or CoNLL file are found."""

    columns: tuple[Name, ...] | None
    """Column names of a table without a header; None if it has a header."""
    rows: Name | None
    """Path of the list of records inside an object, or inside each one: ``data.paragraphs.qas``. None: the file itself
    is a list of records."""
    format: RowFormat | None
    """None: detected by the file's name or content."""
    delimiter: Annotated[str, StringConstraints(pattern=r'^[^"\r\n]+$')] | None
    """Delimiter of a table. None: the format's, or detected as the one with which all rows are equally long."""
    quoting: Literal["auto", "quoted", "none"]
    """Whether values of a table may be quoted; with ``none``, quotation marks are text. ``auto`` detects this for
    tables separated by tabs, which are written either way."""
    encoding: EncodingName | None
    """None: detected; ignored for Parquet and Arrow."""


class EntityTags(Config):
    """The target is the entities of a sentence, from a list of tags (IOB and the like) beside its tokens."""

    kind: Literal["tags"]
    tokens: Name
    tags: Name
    write_as: Literal["json", "lines"]
    """``{"PER": ["Ada"]}``, or a line ``PER: Ada`` for each entity."""


class EntitySpans(Config):
    """The target is the entities of a text, from a list of objects with positions in the text."""

    kind: Literal["spans"]
    entities: Name
    """The field with the list."""
    start: Name
    """In an object: the position of the entity's first character, from 0."""
    end: Name
    """The position after its last character."""
    label: Name
    """The entity's type."""
    write_as: Literal["json", "lines"]


EntityTarget = Annotated[EntityTags | EntitySpans, Field(discriminator="kind")]


class RecordFields(RowSettings):
    """Every record of a JSON, CSV, Parquet, Arrow or CoNLL file is a document.

    ``text``, ``label``, ``target`` and ``name`` are names of fields (``text``; ``meta.title`` for nested objects) or
    templates of several fields (``{title}\\n\\n{body}``); None if there is no such field. Lists of tokens are joined
    and conversations are rendered; if text and target are the same conversation, its last answer is the target.
    """

    kind: Literal["records"]
    text: Name
    label: Name | None
    """If its value is a list, the document has several labels."""
    target: Name | EntityTarget | None
    """What a completion model is trained to write: a summary, an answer, a translation, the entities of the text."""
    name: Name | None


class Conversations(RowSettings):
    """Every record is a conversation, or a question with a better and a worse answer.

    The usual formats are recognized per row: ``messages`` with role and content, ShareGPT, Alpaca, plain pairs, and
    ``chosen`` with ``rejected``.
    """

    kind: Literal["conversations"]


Reader = Annotated[
    Docstrings | WholeFiles | TextLines | ParallelLines | RecordFields | Conversations, Field(discriminator="kind")
]
