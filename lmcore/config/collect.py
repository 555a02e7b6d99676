"""Settings of collecting: the sources of documents, and limits of reading."""

from typing import Annotated, Self

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from lmcore.config.base import Config, GivenSplit, Name
from lmcore.config.locations import Hub, LocalDataSet, Location
from lmcore.config.readers import ParallelLines, Reader, RowSettings

MAX_NAME_CHARACTERS = 100


class Source(Config):
    """A source of documents."""

    name: Name
    location: Location
    reader: Reader
    split: GivenSplit
    weight: PositiveFloat
    """How often each training document occurs: with 2.0 twice, while 0.5 keeps half of them."""
    license: Name | None
    """An SPDX expression or a name; None: taken from the files (installed packages), or unknown."""
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
