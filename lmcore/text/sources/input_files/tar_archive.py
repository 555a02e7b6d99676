"""Members of tar archives with any compression; of a truncated archive, the members before the end.

A compressed archive is unpacked to a temporary file once, within the limit of unpacked bytes, so that its members can
be read in the order of their names. No file is created under a name from the archive.

Source: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html
"""

import tarfile
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Self

from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.byte_streams import BUFFER_BYTES
from lmcore.text.sources.input_files.compression import Budget
from lmcore.text.sources.input_files.members import MAX_MEMBERS, Member

MAX_HEADER_BYTES = 2**20
"""The largest header of a member: headers are read into memory, and legitimate ones have a few hundred bytes."""


ARCHIVE_ERRORS = (tarfile.TarError, ValueError, LookupError, OverflowError)


class TarArchive:
    """A tar archive.

    Attributes:
        error: why the archive ends early, if it does.
    """

    def __init__(self, file: BinaryIO, budget: Budget) -> None:
        """Read an archive from a file, which is closed with the archive."""
        self.error: InputError | None = None
        self._file = _ShortReads(file)
        self._budget = budget
        weakref.finalize(self, file.close)

    @classmethod
    def unpacked(cls, chunks: Iterable[bytes], budget: Budget) -> Self:
        """Read an archive from chunks of bytes, up to the first error."""
        # It is closed with the archive.
        archive = cls(tempfile.TemporaryFile(), budget)  # noqa: SIM115
        try:
            for chunk in chunks:
                archive._file.write(chunk)
        except InputError as error:
            archive.error = error
        return archive

    def list_members(self) -> tuple[list[Member], InputError | None]:
        """List the files, and the error after the last one that could be found, if any.

        Folders and links are left out: the target of a link is another member, or not in the archive.
        """
        members: list[Member] = []
        self._file.seek(0)
        try:
            with self._open() as archive:
                while (info := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined]  # Otherwise all of them would be kept.
                    if not (info.isdir() or info.issym() or info.islnk()):
                        problem = None if info.isfile() else InputError("not_a_file", "it is a device or a pipe")
                        members.append(Member(info.name, info.offset, problem))
                    if archive.offset <= info.offset:
                        raise tarfile.ReadError("a member ends before it starts")
                    if len(members) == MAX_MEMBERS:
                        raise tarfile.ReadError("it contains too many files: split it into several archives")
                self._check_end(archive.offset)
        except ARCHIVE_ERRORS as error:
            detail = f"{error}; {len(members)} files were found before that"
            return members, self.error or InputError("damaged_file", detail)
        return members, self.error

    def read(self, member: Member) -> Iterator[bytes]:
        """Yield the bytes of a member.

        Raises:
            InputError: ``damaged_file`` after the last byte that exists; ``unpacks_too_large``.
        """
        self._file.seek(member.header)
        try:
            with self._open() as archive:
                info = archive.next()
                if info is not None and info.issparse():
                    yield from self._budget.limit(_chunks_with_holes(archive, info))
                elif info is not None:
                    yield from self._chunks(info.offset_data, info.size)
        except ARCHIVE_ERRORS as error:
            raise InputError("damaged_file", f"cut off: {error}") from error

    def _chunks(self, start: int, n_bytes: int) -> Iterator[bytes]:
        self._file.seek(start)
        while n_bytes > 0:
            chunk = self._file.read(min(BUFFER_BYTES, n_bytes))
            if not chunk:
                raise tarfile.ReadError(f"{n_bytes} bytes are missing")
            n_bytes -= len(chunk)
            yield chunk

    def _open(self) -> tarfile.TarFile:
        return tarfile.TarFile(fileobj=self._file, mode="r", encoding="utf-8")  # type: ignore[arg-type]

    def _check_end(self, end: int) -> None:
        self._file.seek(end)
        if self._file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError(f"no member starts at byte {end + 1}")


def _chunks_with_holes(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    """The content of a sparse member, with the zeros that the archive leaves out."""
    content = archive.extractfile(info)
    while content is not None and (chunk := content.read(BUFFER_BYTES)):
        yield chunk


class _ShortReads:
    """A file that refuses long reads, which a header with a wrong length would cause."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.write = file.seek, file.tell, file.write

    def read(self, n_bytes: int) -> bytes:
        if n_bytes > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"the header of a member has {n_bytes} bytes")
        return self._file.read(n_bytes)
