"""From the location of a source to the files that lie on this machine."""

from dataclasses import dataclass
from pathlib import Path

from lmcore.config.collect import Hub, InstalledPackages, LocalDataSet, LocalFiles, ParallelLines, Source, Urls
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
    """What a source consists of on this machine.

    Attributes:
        files: sorted by name; those of ``parallel_lines`` in the order in which ``params.yaml`` names them.
        read errors: files that may not or cannot be read.
        revision: the commit of a data set of the hub, else ``None``.
    """

    files: tuple[SourceFile, ...]
    read_errors: tuple[ReadError, ...]
    revision: str | None


def locate(source: Source, downloads: Path) -> Located:
    """Find the files of a source, and fetch those that lie elsewhere.

    Args:
        source: says where they lie.
        downloads: folder for what is fetched; what it holds already is not fetched again.

    Raises:
        ValueError: if the source is not as ``params.yaml`` says: nothing is there, or something else.
        ConnectionError: if a server cannot be reached, or does not deliver.
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
            f"source {name!r}: parallel_lines reads two files, but its location holds {len(files)}: name the file of "
            "the texts first, and that of what they become second"
        )
    read_errors = sorted(read_errors, key=lambda read_error: (read_error.path, read_error.reason))
    return Located(tuple(files), tuple(read_errors), location.revision if isinstance(location, Hub) else None)
