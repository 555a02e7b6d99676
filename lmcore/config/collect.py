"""Settings of the section ``collect``: sources, readers and limits."""

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
RowFormat = Literal["jsonl", "json", "csv", "tsv", "psv", "parquet", "arrow", "conll"]
PATH_PARTS = ("file", "stem", "ending", "folder")
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
OF_OTHER_USE = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})
"""Encodings that Python knows and no text file is in."""


def _known_encoding(name: str) -> str:
    """The name of an encoding of text, as it is.

    Raises:
        ValueError: if Python knows none of that name.
    """
    try:
        if codecs.lookup(name).name in OF_OTHER_USE:
            raise LookupError
        "a".encode(name)
    except (LookupError, ValueError):
        known = "utf-8, utf-16, windows-1252, latin-1, gb18030, big5, shift_jis, euc-kr or koi8-r"
        raise ValueError(f"unknown encoding {name!r}; use one such as {known}, or null to detect it") from None
    return name


EncodingName = Annotated[str, AfterValidator(_known_encoding)]
"""Of the encodings of text that Python knows, under any of their names."""


def _is_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a valid regular expression: {error}") from None
    return pattern


class LocalFiles(Config):
    """Files of this machine."""

    kind: Literal["local"]
    paths: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Files, folders (all files in them) and patterns such as ``notes/**/*.md``."""


class InstalledPackages(Config):
    """Modules of installed Python packages, found without importing them; each file is labeled with its package."""

    kind: Literal["installed_packages"]
    packages: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names as on the package index; ``python`` is the standard library."""
    skipped: tuple[Name, ...]
    """Patterns of folder and file names that hold something else: tests, copies of other packages."""


class Hub(Config):
    """A data set of the Hugging Face hub, at one revision."""

    kind: Literal["hub"]
    dataset: Name
    """``owner/name``."""
    configuration: Name | None
    hub_split: Name
    """Which of the data set's own splits; where its documents belong here is the source's ``split``."""
    revision: Revision
    """A commit; ``main`` would be another data set tomorrow."""
    max_rows: PositiveInt | None
    """Only the first rows, read as they stream in; null downloads the files whole."""


class LocalDataSet(Config):
    """A data set of ``datasets`` on this machine: what ``save_to_disk`` wrote, or a folder that it opens itself."""

    kind: Literal["dataset"]
    path: Name
    dataset_split: Name | None
    """Which of the data set's own splits; null where it has only one."""
    configuration: Name | None
    """Which of its configurations, where a folder has several; null where it has one, or was saved."""


class RemoteFile(Config):
    """A file at an address, and what it must be."""

    url: Annotated[str, StringConstraints(pattern="^https?://")]
    sha256: Digest | None
    """Null takes what is there, and pins it in ``sources.lock``."""


class Urls(Config):
    """Files from addresses."""

    kind: Literal["urls"]
    files: Annotated[tuple[RemoteFile, ...], Field(min_length=1)]
    max_bytes: PositiveInt
    """Of one file; a download beyond it is given up."""


Location = Annotated[LocalFiles | InstalledPackages | Hub | LocalDataSet | Urls, Field(discriminator="kind")]


class Docstrings(Config):
    """Every docstring of a Python module is a document."""

    kind: Literal["docstrings"]


class DivisionBySize(Config):
    """Parts of at most so many characters: cut behind a paragraph, else a line, a sentence or a word."""

    kind: Literal["size"]
    max_characters: Annotated[int, Field(ge=100)]


class DivisionAtHeadings(Config):
    """A part begins with each heading."""

    kind: Literal["headings"]
    pattern: Annotated[str, AfterValidator(_is_pattern)] | None
    """A regular expression that is found in headings and in no other line: ``^CHAPTER ``. Null: those of Markdown."""


class DivisionAtBlankLines(Config):
    """A part begins behind so many blank lines, or more."""

    kind: Literal["blank_lines"]
    min_lines: PositiveInt


Division = Annotated[DivisionBySize | DivisionAtHeadings | DivisionAtBlankLines, Field(discriminator="kind")]


class WholeFiles(Config):
    """Every file is a document: plain text, Markdown, web pages, notebooks, books and office documents.

    It is labeled with the first folder it lies in below the source's path, if any.
    """

    kind: Literal["whole_files"]
    encoding: EncodingName | None
    """Null where it is detected; web pages declare their own."""
    divide: Division | None
    """How to make several documents of each file; null leaves it whole."""


class TextLines(Config):
    """Every line of a file is a document."""

    kind: Literal["lines"]
    label: Name | None
    """Of all lines of a file: a word, or a template of ``{file}`` (its name), ``{stem}``, ``{ending}`` or ``{folder}``,
    the first one below the source's path.
    """
    encoding: EncodingName | None
    """Null where it is detected."""

    @field_validator("label")
    @classmethod
    def _names_parts_of_a_path(cls, label: str | None) -> str | None:
        fields = [name for _, name, *_ in Formatter().parse(label or "") if name is not None]
        if unknown := sorted(set(fields) - set(PATH_PARTS)):
            raise ValueError(f"{{{unknown[0]}}} is not a part of a path; expected one of {', '.join(PATH_PARTS)}")
        return label


class ParallelLines(Config):
    """Line by line of two files a text and what it is to become: its translation, say. The location has two paths."""

    kind: Literal["parallel_lines"]
    encoding: EncodingName | None
    """Null where it is detected, of each file for itself."""


class RecordFields(Config):
    """Every row is a document: of JSON, CSV and other tables, Parquet, CoNLL.

    A field is named as it is (``text``, or ``meta.title`` for an object in an object), or, where the name holds
    braces, a template of several (``{title}\\n\\n{body}``). Null where there is no such field. Lists of tokens are
    joined, conversations rendered; where text and target are the same conversation, its last answer is the target.
    """

    kind: Literal["records"]
    text: Name
    label: Name | None
    target: Name | None
    """What the text is to become, for completion: a summary, an answer, a translation."""
    name: Name | None
    columns: tuple[Name, ...] | None
    """Names of the columns of a table that has no header; null where it has one."""
    rows: Name | None
    """Path of the list that holds the rows within an object, or within each: ``data.paragraphs.qas``. Null where the
    file itself is a list of rows."""
    format: RowFormat | None
    """Null where the file's name or beginning tells."""
    delimiter: Annotated[str, StringConstraints(pattern=r'^[^"\r\n]+$')] | None
    """Between the values of a table. Null is that of the format, or the one by which all rows fit."""
    quoting: Literal["auto", "quoted", "none"]
    """Whether values of a table stand in quotation marks where they have to; ``none`` takes marks as they are.
    ``auto`` looks at tables separated by tabs, which are written in either way."""
    encoding: EncodingName | None
    """Null where it is detected; Parquet has none."""


Reader = Annotated[Docstrings | WholeFiles | TextLines | ParallelLines | RecordFields, Field(discriminator="kind")]


class Source(Config):
    """Documents of one origin."""

    name: Name
    location: Location
    reader: Reader
    split: GivenSplit
    weight: PositiveFloat
    """How often its training documents stand in the training shard: 2.0 shows each twice, 0.5 half of them."""
    license: Name | None
    """An SPDX expression or a name; null where files know their own (packages), or nobody does."""
    attribution: str | None
    """Whom to name, and where it is from: for the data card."""

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        """It stands in file names, tables and logs."""
        if len(name) > MAX_NAME_CHARACTERS or not name.isprintable() or name.startswith(".") or {*"/\\"} & {*name}:
            raise ValueError(
                f"a name has at most {MAX_NAME_CHARACTERS} characters, no slash or control character, "
                f"and does not start with a dot"
            )
        return name

    @model_validator(mode="after")
    def _reads_what_lies_there(self) -> Self:
        location, reader = self.location, self.reader
        if isinstance(reader, ParallelLines) and len(getattr(location, "paths", getattr(location, "files", ()))) != 2:
            raise ValueError("parallel_lines reads two files: name the texts first, what they become second")
        if isinstance(location, Hub | LocalDataSet) and not isinstance(reader, RecordFields):
            raise ValueError("a data set has rows: its reader must be records")
        return self


class ReadingLimits(Config):
    """What no honest document exceeds: what does is left out, named, and the rest goes on."""

    max_document_bytes: PositiveInt
    """Of a document, and of a line or a row that one is read from."""
    max_unpacked_bytes: PositiveInt
    """Of what a compressed file unpacks to."""


class CollectConfig(Config):
    """Where documents come from, in the order in which they are read."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    limits: ReadingLimits
    strict: bool
    """True: the first piece of input that cannot be used is an error. False: it is noted, and the rest goes on."""

    @model_validator(mode="after")
    def _has_distinct_names(self) -> Self:
        names = [source.name for source in self.sources]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"two sources are named {', '.join(repeated)}: a source is known by its name")
        return self
