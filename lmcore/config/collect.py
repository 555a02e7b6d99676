"""Settings of collecting: sources with their locations and readers, and limits of reading."""

import codecs
import re
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    field_validator,
    model_validator,
)

from lmcore.config.base import Config, GivenSplit, Name

MAX_NAME_CHARACTERS = 100
Revision = Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")]
RowFormat = Literal["jsonl", "json", "csv", "tsv", "psv", "parquet", "arrow", "conll", "babi"]
PATH_PARTS = ("file", "stem", "ending", "folder")
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
NOT_FOR_FILES = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})
"""Encodings that Python knows but text files do not have."""


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


class LocalFiles(Config):
    """Local files."""

    kind: Literal["local"]
    paths: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Files, folders (all files in them) and glob patterns such as ``notes/**/*.md``."""


class InstalledPackages(Config):
    """Modules of installed Python packages, found without importing them. A file's label is its package."""

    kind: Literal["installed_packages"]
    packages: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names as on PyPI; ``python`` is the standard library."""
    skipped: tuple[Name, ...]
    """Patterns of folder and file names to skip, such as tests and vendored packages."""


class Hub(Config):
    """A data set of the Hugging Face Hub, at one revision."""

    kind: Literal["hub"]
    dataset: Name
    """``owner/name``."""
    configuration: Name | None
    hub_split: Name
    """A split of the data set itself; the source's ``split`` says how its documents are used."""
    revision: Revision
    """A commit hash; a branch such as ``main`` may change."""
    max_rows: PositiveInt | None
    """Read only the first rows, by streaming; None downloads whole files."""


class LocalDataSet(Config):
    """A local data set of the library ``datasets``: a folder that ``save_to_disk`` wrote or ``load_dataset`` reads."""

    kind: Literal["dataset"]
    path: Name
    dataset_split: Name | None
    """A split of the data set itself; None if it has only one."""
    configuration: Name | None
    """A configuration, if the folder has several; None if it has one or ``save_to_disk`` wrote it."""


class RemoteFile(Config):
    """A file to download."""

    url: Annotated[str, StringConstraints(pattern="^https?://")]
    sha256: Digest | None
    """SHA-256 of the file; None accepts its current content, which is pinned."""


class Urls(Config):
    """Files to download."""

    kind: Literal["urls"]
    files: Annotated[tuple[RemoteFile, ...], Field(min_length=1)]
    max_bytes: PositiveInt
    """Limit for one file; a larger download is aborted."""


Location = Annotated[LocalFiles | InstalledPackages | Hub | LocalDataSet | Urls, Field(discriminator="kind")]


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
    tables separated by tabs, which are written in either way."""
    encoding: EncodingName | None
    """None: detected; ignored for Parquet and Arrow."""


class EntityTags(Config):
    """The target is what entities a sentence has, told by a list of tags (IOB and the like) beside its tokens."""

    kind: Literal["tags"]
    tokens: Name
    tags: Name
    write_as: Literal["json", "lines"]
    """``{"PER": ["Ada"]}``, or a line ``PER: Ada`` for each entity."""


class EntitySpans(Config):
    """The target is what entities a text has, told by a list of objects with positions in the text."""

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
    """A list as its value gives the document several labels."""
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


class Source(Config):
    """A source of documents."""

    name: Name
    location: Location
    reader: Reader
    split: GivenSplit
    weight: PositiveFloat
    """How often each training document is repeated: 2.0 is twice, 0.5 keeps half of them."""
    license: Name | None
    """An SPDX expression or a name; None: from the files (installed packages), or unknown."""
    attribution: str | None
    """Author and origin, for the data card."""

    @field_validator("name")
    @classmethod
    def _fits_in_file_names(cls, name: str) -> str:
        if len(name) > MAX_NAME_CHARACTERS or not name.isprintable() or name.startswith(".") or {*"/\\"} & {*name}:
            raise ValueError(
                f"a name has at most {MAX_NAME_CHARACTERS} characters, no slash or control character, "
                f"and does not start with a dot"
            )
        return name

    @model_validator(mode="after")
    def _has_a_reader_for_its_location(self) -> Self:
        location, reader = self.location, self.reader
        if isinstance(reader, ParallelLines) and len(getattr(location, "paths", getattr(location, "files", ()))) != 2:
            raise ValueError("parallel_lines reads two files: give the texts first, their targets second")
        if isinstance(location, Hub | LocalDataSet) and not isinstance(reader, RowSettings):
            raise ValueError("a data set consists of records; set reader.kind to records or conversations")
        return self


class ReadingLimits(Config):
    """Limits of reading. Input beyond them is skipped and reported."""

    max_document_bytes: PositiveInt
    """Limit for a document, and for the line or record that it is read from."""
    max_unpacked_bytes: PositiveInt
    """Limit for the unpacked size of a compressed file."""


class CollectConfig(Config):
    """The sources of documents, in the order in which they are read."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    limits: ReadingLimits
    strict: bool
    """True: the first unreadable input is an error. False: it is recorded as a read error and skipped."""

    @model_validator(mode="after")
    def _has_distinct_names(self) -> Self:
        names = [source.name for source in self.sources]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"several sources are named {', '.join(repeated)}; names must be unique")
        return self
