"""Members of ZIP archives, read in place; of a truncated archive, the members before the end.

Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (sections 4.3 to 4.5).
"""

import errno
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.compression import DECOMPRESSION_ERRORS, Budget, deflate, file_chunks, unpack
from lmcore.text.sources.input_files.members import Member

STORED, DEFLATED = 0, 8
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
LOCAL_SIGNATURE = b"PK\3\4"
IS_ENCRYPTED, HAS_DATA_DESCRIPTOR, IS_UTF8 = 1 << 0, 1 << 3, 1 << 11
LONGEST_DESCRIPTOR = 24
SIZE_IN_EXTRA_FIELD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class ZipMember(Member):
    """A file in a ZIP archive.

    Attributes:
        n_packed: its compressed size in bytes; None if it extends to the end of the archive.
        method: the number of its compression method.
        checksum: CRC-32 of its unpacked bytes, if known.
    """

    n_packed: int | None
    method: int
    checksum: int | None


class ZipArchive:
    """A ZIP archive."""

    def __init__(self, path: Path, budget: Budget) -> None:
        self._path = path
        self._budget = budget

    def list_members(self) -> tuple[Sequence[ZipMember], InputError | None]:
        """As :func:`list_members`."""
        return list_members(self._path)

    def read(self, member: Member) -> Iterator[bytes]:
        """Yield the unpacked bytes of a member.

        Raises:
            OSError: if the archive cannot be read.
            InputError: ``damaged_file`` after the last byte that could be unpacked; ``unpacks_too_large``.
        """
        assert isinstance(member, ZipMember)
        return self._budget.limit(unpack_member(self._path, member))


def list_members(path: Path) -> tuple[list[ZipMember], InputError | None]:
    """List the files of an archive, sorted by name, and the error in its table of contents, if any.

    Without a table of contents, as in a truncated archive, the files are found by their local headers.

    Raises:
        OSError: if the archive cannot be read.
    """
    try:
        return _by_name(_directory(path)), None
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        members = [member for member in _scan(path) if not member.name.endswith("/")]
        detail = f"{error}; {len(members)} files were found without its table of contents"
        return _by_name(members), InputError("damaged_file", detail)


def unpack_member(path: Path, member: ZipMember) -> Iterator[bytes]:
    """Yield the unpacked bytes of a member.

    Raises:
        OSError: if the archive cannot be read.
        InputError: ``damaged_file`` after the last byte that could be unpacked.
    """

    def chunks() -> Iterator[bytes]:
        return file_chunks(path, _data_start(path, member), member.n_packed)

    checksum = 0
    for chunk in unpack(chunks, deflate) if member.method == DEFLATED else chunks():
        checksum = zlib.crc32(chunk, checksum)
        yield chunk
    if member.checksum is not None and checksum != member.checksum:
        raise InputError("damaged_file", "its checksum does not match: its content is damaged")


def _by_name(members: list[ZipMember]) -> list[ZipMember]:
    return sorted(members, key=lambda member: (member.name, member.header))


def _directory(path: Path) -> list[ZipMember]:
    """The members in the table of contents at the end of the archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [_from_directory(info) for info in archive.infolist() if _is_file(info)]
    except OSError as error:
        if error.errno == errno.EINVAL:  # A damaged table points before the beginning of the file.
            raise zipfile.BadZipFile("its table of contents points outside the archive") from error
        raise
    if any(member.header < 0 for member in members):
        raise zipfile.BadZipFile("its table of contents points outside the archive")
    return members


def _is_file(info: zipfile.ZipInfo) -> bool:
    """Folders and links are not files: the content of a link is a path."""
    return not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16)


def _from_directory(info: zipfile.ZipInfo) -> ZipMember:
    problem = _problem(info.flag_bits, info.compress_type)
    return ZipMember(info.filename, info.header_offset, problem, info.compress_size, info.compress_type, info.CRC)


def _problem(flags: int, method: int) -> InputError | None:
    if flags & IS_ENCRYPTED:
        return InputError("encrypted", "it is encrypted: save it without a password")
    if method not in (STORED, DEFLATED):
        return InputError("unknown_compression", f"method {method}; only stored and deflated files are supported")
    return None


def _data_start(path: Path, member: ZipMember) -> int:
    with path.open("rb") as archive:
        archive.seek(member.header)
        header = archive.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size or not header.startswith(LOCAL_SIGNATURE):
        raise InputError("damaged_file", "it does not start where the table of contents says")
    *_, n_name, n_extra = LOCAL_HEADER.unpack(header)
    return member.header + LOCAL_HEADER.size + int(n_name) + int(n_extra)


def _scan(path: Path) -> Iterator[ZipMember]:
    """Find members by their local headers, as long as one directly follows the other."""
    with path.open("rb") as archive:
        start = 0
        while len(header := archive.read(LOCAL_HEADER.size)) == LOCAL_HEADER.size:
            signature, _, flags, method, _, _, checksum, n_packed, _, n_name, n_extra = LOCAL_HEADER.unpack(header)
            name = archive.read(n_name).decode("utf-8" if flags & IS_UTF8 else "cp437", errors="replace")
            if signature != LOCAL_SIGNATURE or not name:
                return
            data = start + LOCAL_HEADER.size + n_name + n_extra
            is_known = not flags & HAS_DATA_DESCRIPTOR and n_packed != SIZE_IN_EXTRA_FIELD
            end = data + n_packed if is_known else _end_of_stream(path, data) if method == DEFLATED else None
            yield ZipMember(
                name,
                start,
                _problem(flags, method),
                None if end is None else end - data,
                method,
                checksum if is_known else None,
            )
            if end is None:
                return
            archive.seek(end)
            following = archive.read(LONGEST_DESCRIPTOR + len(LOCAL_SIGNATURE))
            start = end + max(following.find(LOCAL_SIGNATURE), 0)
            archive.seek(start)


def _end_of_stream(path: Path, start: int) -> int | None:
    """The end of a deflate stream that begins at ``start``; None if it is truncated or damaged."""
    decompressor = deflate()
    n_fed = 0
    try:
        for chunk in file_chunks(path, start):
            decompressor.decompress(chunk)
            n_fed += len(chunk)
            if decompressor.eof:
                return start + n_fed - len(decompressor.unused_data)
    except DECOMPRESSION_ERRORS:
        pass
    return None
