"""Decompression in chunks: no file is held in memory as a whole, and everything before a damaged part is kept."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

import zstandard

from lmcore.text.documents.document import InputError

# So small that even a chunk of a decompression bomb unpacks to only a few megabytes: a Zstandard block of 128 KiB that
# repeats one byte takes three bytes.
CHUNK_BYTES = 512


class Decompressor(Protocol):
    """The common interface of the decompressors of :mod:`bz2`, :mod:`zlib`, :mod:`lzma` and :mod:`zstandard`."""

    @property
    def eof(self) -> bool:
        """Whether the end of the compressed stream was reached."""

    @property
    def unused_data(self) -> bytes:
        """The bytes after the end of the stream."""

    def decompress(self, data: bytes, /) -> bytes:
        """Decompress the next bytes of the stream."""


OpenChunks = Callable[[], Iterator[bytes]]
"""Opens something and yields its content in chunks, from the beginning."""


def _zstandard() -> Decompressor:
    return zstandard.ZstdDecompressor().decompressobj()


def _gzip() -> Decompressor:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)


def deflate() -> Decompressor:
    """A decompressor for raw deflate streams, as in ZIP archives."""
    return zlib.decompressobj(wbits=-zlib.MAX_WBITS)


class Bzip2Error(Exception):
    """Invalid bzip2 data; :mod:`bz2` itself raises an OSError, like a file that cannot be read."""


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
"""By the extension of a file: bzip2, gzip (RFC 1952), xz, Zstandard (RFC 8878)."""

DECOMPRESSION_ERRORS = (zlib.error, lzma.LZMAError, zstandard.ZstdError, Bzip2Error)


class Budget:
    """The number of bytes that a file and its members may still unpack to."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._n_left = max_bytes

    @property
    def is_spent(self) -> bool:
        """Whether the file has unpacked to more bytes than allowed."""
        return self._n_left < 0

    def spend(self, n_bytes: int) -> None:
        """Subtract unpacked bytes.

        Raises:
            InputError: ``unpacks_too_large`` if the budget is exceeded.
        """
        self._n_left -= n_bytes
        if self.is_spent:
            detail = f"it unpacks to more than max_unpacked_bytes, {self._max_bytes} bytes; the rest is not read"
            raise InputError("unpacks_too_large", detail)

    def limit(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield unpacked chunks until the budget is spent.

        Raises:
            InputError: as :meth:`spend`.
        """
        for chunk in chunks:
            yield chunk[: max(self._n_left, 0)]
            self.spend(len(chunk))
            del chunk


def file_chunks(path: Path, start: int = 0, n_bytes: int | None = None) -> Iterator[bytes]:
    """Yield ``n_bytes`` bytes of a file from ``start``, or all that follow it, in chunks of :data:`CHUNK_BYTES`.

    Raises:
        OSError: if the file cannot be read.
        InputError: ``damaged_file`` if it ends before ``n_bytes``.
    """
    with path.open("rb") as file:
        file.seek(start)
        while n_bytes is None or n_bytes > 0:
            chunk = file.read(CHUNK_BYTES if n_bytes is None else min(CHUNK_BYTES, n_bytes))
            if not chunk:
                break
            yield chunk
            n_bytes = None if n_bytes is None else n_bytes - len(chunk)
    if n_bytes:
        raise InputError("damaged_file", f"cut off: {n_bytes} bytes are missing")


def unpack(chunks: OpenChunks, new: Callable[[], Decompressor]) -> Iterator[bytes]:
    """Decompress one compressed stream, or several that follow each other.

    Args:
        chunks: opens the compressed bytes, in chunks of at most :data:`CHUNK_BYTES`.
        new: creates a decompressor for a stream.

    Raises:
        InputError: ``damaged_file``, after the last byte that could be unpacked.
    """
    n_chunks = 0
    try:
        for unpacked in _unpack_each(chunks(), new):
            yield unpacked
            n_chunks += 1
            del unpacked  # It may be megabytes; release them before the next chunk is unpacked.
        return
    except DECOMPRESSION_ERRORS:
        pass  # The bytes of this chunk before the damage are lost: feed it again, byte by byte.
    try:
        yield from islice(_unpack_each(_finer(chunks(), n_chunks), new), n_chunks, None)
    except DECOMPRESSION_ERRORS as error:
        raise InputError("damaged_file", str(error)) from error


def rechunked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Divide chunks of any size into chunks of at most :data:`CHUNK_BYTES`."""
    for chunk in chunks:
        for start in range(0, len(chunk), CHUNK_BYTES):
            yield chunk[start : start + CHUNK_BYTES]


def _finer(chunks: Iterable[bytes], n_whole: int) -> Iterator[bytes]:
    """Yield the first ``n_whole`` chunks as they are, and the others byte by byte."""
    for number, chunk in enumerate(chunks):
        if number < n_whole:
            yield chunk
        else:
            yield from (chunk[index : index + 1] for index in range(len(chunk)))


def _unpack_each(chunks: Iterable[bytes], new: Callable[[], Decompressor]) -> Iterator[bytes]:
    """Yield the decompressed content of each chunk."""
    decompressor: Decompressor | None = None
    is_first = True
    for chunk in chunks:
        unpacked, rest = [], chunk
        while rest:
            if decompressor is None:
                # Streams written in blocks are padded with zeros.
                rest = rest if is_first else rest.lstrip(b"\0")
                if not rest:
                    break
                decompressor, is_first = new(), False
            unpacked.append(decompressor.decompress(rest))
            rest, decompressor = (decompressor.unused_data, None) if decompressor.eof else (b"", decompressor)
        yield b"".join(unpacked)
    if decompressor is not None:
        raise InputError("damaged_file", "cut off: the compressed stream does not end")
