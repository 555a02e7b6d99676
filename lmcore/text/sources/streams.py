"""Bytes that come in chunks as a buffered file."""

import codecs
import io
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from lmcore.text.documents import InputError

BUFFER_BYTES = 2**17


class Stream(io.RawIOBase):
    """Chunks of bytes as a file; an error comes behind all that stands before it."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._error: InputError | OSError | None = None
        self._is_at_end = False

    def buffered(self) -> io.BufferedReader:
        """The same with a buffer, which closes it."""
        return io.BufferedReader(self, BUFFER_BYTES)

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there are chunks.

        Raises:
            InputError, OSError: what the chunks ended with, at every further call.
        """
        n_read = 0
        while n_read < len(buffer) and self._has_more():
            n_taken = min(len(buffer) - n_read, len(self._rest))
            buffer[n_read : n_read + n_taken] = self._rest[:n_taken]
            self._rest = self._rest[n_taken:]
            n_read += n_taken
        if not n_read and self._error is not None:
            raise self._error
        return n_read

    def close(self) -> None:
        """Close what the chunks are read from, too."""
        with suppress(AttributeError):
            self._chunks.close()  # type: ignore[attr-defined]
        super().close()

    def _has_more(self) -> bool:
        while not self._rest and not self._is_at_end:
            try:
                self._rest = memoryview(next(self._chunks))
            except StopIteration:
                self._is_at_end = True
            except (InputError, OSError) as error:
                self._is_at_end, self._error = True, error
        return bool(self._rest)


def utf8_from_utf16(file: io.BufferedReader) -> Iterator[bytes]:
    """Yield what a file in UTF-16 with its mark holds, in UTF-8; what is not UTF-16 becomes no UTF-8 either."""
    decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
    while chunk := file.read1(BUFFER_BYTES):
        yield decoder.decode(chunk).encode(errors="surrogatepass")
    try:
        yield decoder.decode(b"", final=True).encode(errors="surrogatepass")
    except UnicodeDecodeError:
        yield b"\xff"  # Half a character at the end: no UTF-8 either.
