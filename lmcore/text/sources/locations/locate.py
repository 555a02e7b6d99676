"""Finds or downloads the files of a source."""

from dataclasses import dataclass
from pathlib import Path

from lmcore.config.collect import Source
from lmcore.config.locations import Hub, InstalledPackages, LocalDataSet, LocalFiles, Urls
from lmcore.config.readers import ParallelLines
from lmcore.errors import UserError
from lmcore.text.documents.document import ReadError
from lmcore.text.sources.locations.data_sets import find_data_set
from lmcore.text.sources.locations.hub import fetch_data_set
from lmcore.text.sources.locations.local_files import find_local_files
from lmcore.text.sources.locations.packages import find_modules
from lmcore.text.sources.locations.urls import fetch_files
from lmcore.text.sources.source_file import SourceFile


@dataclass(frozen=True, slots=True)
class Located:
    """The files of a source on this machine.

    Attributes:
        files: sorted by name; for ``parallel_lines``, in the order of the configuration.
        read_errors: one for each file that must not or cannot be read.
        revision: the commit of a data set of the hub; None for other sources.
    """

    files: tuple[SourceFile, ...]
    read_errors: tuple[ReadError, ...]
    revision: str | None


def locate(source: Source, downloads: Path) -> Located:
    """Find the files of a source; download those that are remote.

    Args:
        source: the source.
        downloads: the folder for downloaded files; a file that it holds already is not downloaded again.

    Raises:
        UserError: if the source does not match its configuration: it has no files, or other files.
        ConnectionError: if a server cannot be reached or does not deliver.
    """
    name, location = source.name, source.location
    files: list[SourceFile]
    read_errors: list[ReadError] = []
    match location:
        case LocalFiles():
            files, read_errors = find_local_files(name, location)
        case InstalledPackages():
            files, read_errors = find_modules(name, location)
        case Urls():
            files = fetch_files(name, location, downloads)
        case LocalDataSet():
            files = find_data_set(name, location, downloads)
        case Hub():
            files = fetch_data_set(name, location, downloads)
    if not isinstance(source.reader, ParallelLines):
        files = sorted(files, key=lambda file: (file.name, file.package or ""))
    elif len(files) != 2:
        raise UserError(
            f"source {name!r}: parallel_lines reads two files, but its location has {len(files)}: name the file of "
            "the texts first, and the file of the targets second"
        )
    read_errors = sorted(read_errors, key=lambda error: (error.path, error.reason))
    return Located(tuple(files), tuple(read_errors), location.revision if isinstance(location, Hub) else None)
