"""Where documents come from: a source is a place where files lie, and a way to read them."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints, field_validator, model_validator

from lmcore.config import Config
from lmcore.text.config import GivenSplit, Name

Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
MAX_NAME_CHARACTERS = 100
Revision = Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")]


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


Location = Annotated[LocalFiles | InstalledPackages | Hub | Urls, Field(discriminator="kind")]


class Docstrings(Config):
    """Every docstring of a Python module is a document."""

    kind: Literal["docstrings"]


class WholeFiles(Config):
    """Every file is a document: plain text, Markdown, or the main text of a web page (``.html``, ``.htm``).

    It is labeled with the first folder it lies in below the source's path, if any.
    """

    kind: Literal["whole_files"]


class TextLines(Config):
    """Every line of a file is a document."""

    kind: Literal["lines"]


class ParallelLines(Config):
    """Line by line of two files a text and what it is to become: its translation, say. The location has two paths."""

    kind: Literal["parallel_lines"]


class RecordFields(Config):
    """Every row is a document: ``.jsonl``, ``.json`` (a list of objects), ``.csv``, ``.tsv`` or ``.parquet``.

    A field is named as it is (``text``, or ``meta.title`` for an object in an object), or, where the name holds
    braces, a template of several (``{title}\\n\\n{body}``). Null where there is no such field.
    """

    kind: Literal["records"]
    text: Name
    label: Name | None
    target: Name | None
    """What the text is to become, for completion: a summary, an answer, a translation."""
    name: Name | None
    columns: tuple[Name, ...] | None
    """Names of the columns of a table that has no header; null where it has one."""


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
        if isinstance(location, Hub) and not isinstance(reader, RecordFields):
            raise ValueError("a data set of the hub has rows: its reader is records")
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
