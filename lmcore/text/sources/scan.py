"""Finds the files of all sources, downloads those that are remote, and records a snapshot of what each source holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmcore.config.collect import Source
from lmcore.progress import progress
from lmcore.runtime.files import file_digest
from lmcore.runtime.workers import Workers
from lmcore.text.documents.document import ReadError
from lmcore.text.sources.locations.locate import locate
from lmcore.text.sources.snapshot import Snapshot
from lmcore.text.sources.source_file import HashedFile, SourceFile

MAX_BATCH_FILES = 200
MAX_BATCH_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class ScannedSource:
    """A source as it is now: its files, the read errors of those that cannot be used, and a snapshot of it."""

    files: tuple[HashedFile, ...]
    read_errors: tuple[ReadError, ...]
    snapshot: Snapshot


def scan_sources(sources: Sequence[Source], downloads: Path, workers: Workers) -> dict[str, ScannedSource]:
    """Find the files of all sources, download those that are remote, and hash each file.

    Args:
        sources: the sources.
        downloads: the folder for downloaded files; a file that it holds already is not downloaded again.
        workers: the processes that compute the hashes.

    Returns:
        The sources by their names.

    Raises:
        UserError: if a source does not match its configuration.
        ConnectionError: if a server cannot be reached or does not deliver.
    """
    # All sources are located before any file is hashed, so that a wrong name is reported at once.
    located = {source.name: locate(source, downloads) for source in sources}
    with progress("Scan sources", sum(len(found.files) for found in located.values()), "files") as bar:
        scanned = {}
        for name, found in located.items():
            files: list[HashedFile] = []
            for hashed in workers.map(_hash_files, _batches(found.files)):
                files.extend(hashed)
                bar.advance(len(hashed))
            snapshot = Snapshot.of(files, found.revision)
            scanned[name] = ScannedSource(tuple(files), found.read_errors, snapshot)
    return scanned


def _hash_files(files: Sequence[SourceFile]) -> list[HashedFile]:
    return [HashedFile(file, _digest(file.path)) for file in files]


def _batches(files: Sequence[SourceFile]) -> Iterator[Sequence[SourceFile]]:
    batch: list[SourceFile] = []
    n_bytes = 0
    for file in files:
        batch.append(file)
        n_bytes += file.size
        if len(batch) == MAX_BATCH_FILES or n_bytes >= MAX_BATCH_BYTES:
            yield batch
            batch, n_bytes = [], 0
    if batch:
        yield batch


def _digest(path: Path) -> str:
    """The SHA-256 of a file, or an empty string if it cannot be read: the reader will report the error."""
    try:
        return file_digest(path)
    except OSError:
        return ""
