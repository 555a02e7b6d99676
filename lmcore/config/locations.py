"""Where the documents of a source are."""

from typing import Annotated, Literal

from pydantic import (
    Field,
    PositiveInt,
    StringConstraints,
)

from lmcore.config.base import Config, Name

Revision = Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


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
