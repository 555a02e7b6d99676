"""Compressed bytes unpacked piece by piece: nothing is held whole, and all that stands before a damage is kept."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

import zstandard

from lmcore.text.documents.document import InputError

# So small that even 512 bytes of a bomb unpack to no more than some megabytes: Zstandard's blocks of 128 KiB each
# take three bytes where they repeat one.
PIECE_BYTES = 512


class Decompressor(Protocol):
    """What the decompressors of :mod:`bz2`, :mod:`zlib`, :mod:`lzma` and :mod:`zstandard` have in common."""

    @property
    def eof(self) -> bool:
        """Whether the end of the compressed stream was reached."""

    @property
    def unused_data(self) -> bytes:
        """What stood behind the end."""

    def decompress(self, data: bytes, /) -> bytes:
        """Unpack the next bytes of the stream."""


Pieces = Callable[[], Iterator[bytes]]
"""Starts to read something, from its beginning, in pieces."""


def _zstandard() -> Decompressor:
    return zstandard.ZstdDecompressor().decompressobj()


def _gzip() -> Decompressor:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)


def deflate() -> Decompressor:
    """For the bare streams that ZIP archives hold."""
    return zlib.decompressobj(wbits=-zlib.MAX_WBITS)


class Bzip2Error(Exception):
    """What :mod:`bz2` says of data that are none, in a class of its own: files that cannot be read say the same."""


class _Bzip2:
    def __init__(self) -> None:
        self._decompressor = bz2.BZ2Decompressor()

    @property
    def eof(self) -> bool:
        return self._decompressor.eof

    @property
    def unused_data(self) -> bytes:
        return self._decompressor.unused_data

    def decompress(self, data: bytes, /) -> bytes:
        try:
            return self._decompressor.decompress(data)
        except (OSError, ValueError) as error:
            raise Bzip2Error(str(error)) from error


COMPRESSIONS: dict[str, Callable[[], Decompressor]] = {
    ".bz2": _Bzip2,
    ".gz": _gzip,
    ".xz": lzma.LZMADecompressor,
    ".zst": _zstandard,
}
"""By the ending of a file's name: bzip2, gzip (RFC 1952), xz, Zstandard (RFC 8878)."""

DAMAGES = (zlib.error, lzma.LZMAError, zstandard.ZstdError, Bzip2Error)


class Budget:
    """How many bytes a file may still unpack to, its members and what is packed in them included."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._n_left = max_bytes

    @property
    def is_spent(self) -> bool:
        """Whether the file unpacked to more than it may."""
        return self._n_left < 0

    def spend(self, n_bytes: int) -> None:
        """Take note of unpacked bytes.

        Raises:
            InputError: ``unpacks_too_large``, if they are too many.
        """
        self._n_left -= n_bytes
        if self.is_spent:
            detail = f"it unpacks to more than max_unpacked_bytes, {self._max_bytes} bytes; the rest is not read"
            raise InputError("unpacks_too_large", detail)

    def limit(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield unpacked chunks as far as they may go.

        Raises:
            InputError: as :meth:`spend`.
        """
        for chunk in chunks:
            yield chunk[: max(self._n_left, 0)]
            self.spend(len(chunk))
            del chunk


def file_pieces(path: Path, start: int = 0, n_bytes: int | None = None) -> Iterator[bytes]:
    """Yield some bytes of a file, or all that follow ``start``, in pieces of :data:`PIECE_BYTES`.

    Raises:
        OSError: if it cannot be read.
        InputError: ``damaged_file``, if it ends before ``n_bytes``.
    """
    with path.open("rb") as file:
        file.seek(start)
        while n_bytes is None or n_bytes > 0:
            piece = file.read(PIECE_BYTES if n_bytes is None else min(PIECE_BYTES, n_bytes))
            if not piece:
                break
            yield piece
            n_bytes = None if n_bytes is None else n_bytes - len(piece)
    if n_bytes:
        raise InputError("damaged_file", f"cut off: {n_bytes} bytes are missing")


def unpack(pieces: Pieces, new: Callable[[], Decompressor]) -> Iterator[bytes]:
    """Yield what one or several compressed streams, one behind the other, unpack to.

    Args:
        pieces: of the compressed bytes, each of at most :data:`PIECE_BYTES`.
        new: makes a decompressor for a stream.

    Raises:
        InputError: ``damaged_file``, behind the last byte that could be unpacked.
    """
    n_pieces = 0
    try:
        for unpacked in _unpack_each(pieces(), new):
            yield unpacked
            n_pieces += 1
            del unpacked  # It may be some megabytes, which need not be held while the next ones are made.
        return
    except DAMAGES:
        pass  # What the piece held before its damage is lost in it: it is fed again, byte by byte.
    try:
        yield from islice(_unpack_each(_finer(pieces(), n_pieces), new), n_pieces, None)
    except DAMAGES as error:
        raise InputError("damaged_file", str(error)) from error


def repieced(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Chunks of any size in pieces of at most :data:`PIECE_BYTES`."""
    for chunk in chunks:
        for start in range(0, len(chunk), PIECE_BYTES):
            yield chunk[start : start + PIECE_BYTES]


def _finer(pieces: Iterable[bytes], n_whole: int) -> Iterator[bytes]:
    """Some pieces as they are, the others byte by byte."""
    for number, piece in enumerate(pieces):
        if number < n_whole:
            yield piece
        else:
            yield from (piece[place : place + 1] for place in range(len(piece)))


def _unpack_each(pieces: Iterable[bytes], new: Callable[[], Decompressor]) -> Iterator[bytes]:
    """What each piece unpacks to, one for one."""
    decompressor: Decompressor | None = None
    is_first = True
    for piece in pieces:
        unpacked, rest = [], piece
        while rest:
            if decompressor is None:
                # Writers on tapes and in blocks fill up behind a stream with zeros.
                rest = rest if is_first else rest.lstrip(b"\0")
                if not rest:
                    break
                decompressor, is_first = new(), False
            unpacked.append(decompressor.decompress(rest))
            rest, decompressor = (decompressor.unused_data, None) if decompressor.eof else (b"", decompressor)
        yield b"".join(unpacked)
    if decompressor is not None:
        raise InputError("damaged_file", "cut off: the compressed stream does not end")
