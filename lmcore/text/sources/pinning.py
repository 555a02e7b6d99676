"""All sources as they are now: their files, found or fetched, and the digest of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmcore.config.collect import Source
from lmcore.progress import progress
from lmcore.runtime.files import file_digest
from lmcore.runtime.workers import Workers
from lmcore.text.documents.document import Fault
from lmcore.text.sources.files import PinnedFile, SourceFile
from lmcore.text.sources.locating import locate
from lmcore.text.sources.lock import Pin, pin

FILES_PER_PIECE = 200
BYTES_PER_PIECE = 64_000_000


@dataclass(frozen=True, slots=True)
class PinnedSource:
    """A source as it is now: its files, what may not be read of it, and what a lock file says of it."""

    files: tuple[PinnedFile, ...]
    faults: tuple[Fault, ...]
    pin: Pin


def pin_sources(sources: Sequence[Source], downloads: Path, workers: Workers) -> dict[str, PinnedSource]:
    """Find the files of all sources, fetch those that lie elsewhere, and take the digest of each; by source.

    Raises:
        ValueError: if a source is not as ``params.yaml`` says.
        ConnectionError: if a server cannot be reached, or does not deliver.
    """
    # All sources are looked for before any is read, so that a wrong name costs no time.
    located = {source.name: locate(source, downloads) for source in sources}
    with progress("Look at sources", sum(len(some.files) for some in located.values()), "files") as work:
        pinned = {}
        for name, some in located.items():
            files: list[PinnedFile] = []
            for digests in workers.map(_pin_files, _pieces(some.files)):
                files.extend(digests)
                work.advance(len(digests))
            pinned[name] = PinnedSource(tuple(files), some.faults, pin(files, some.revision))
    return pinned


def _pin_files(files: Sequence[SourceFile]) -> list[PinnedFile]:
    return [PinnedFile(file, _digest(file.path)) for file in files]


def _pieces(files: Sequence[SourceFile]) -> Iterator[Sequence[SourceFile]]:
    piece: list[SourceFile] = []
    for file in files:
        piece.append(file)
        if len(piece) == FILES_PER_PIECE or sum(some.size for some in piece) >= BYTES_PER_PIECE:
            yield piece
            piece = []
    if piece:
        yield piece


def _digest(path: Path) -> str:
    """The digest of a file; of one that cannot be read, none: reading it will be a fault with its reason."""
    try:
        return file_digest(path)
    except OSError:
        return ""
