"""Chunks of bytes as a buffered file."""

import io
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from lmcore.text.documents.document import InputError

BUFFER_BYTES = 2**17
HEAD_BYTES = 2**16
LONE_RETURN = re.compile(rb"\r(?!\n)")
QUOTED = re.compile(rb'"[^"]*"')


class Stream(io.RawIOBase):
    """Chunks of bytes as a file; an error is raised after everything before it has been read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._error: InputError | OSError | None = None
        self._is_at_end = False

    def buffered(self) -> io.BufferedReader:
        """This stream with a buffer; closing the buffer closes the stream."""
        return io.BufferedReader(self, BUFFER_BYTES)

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as possible.

        Raises:
            InputError, OSError: the error that the chunks ended with, at every further call.
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
        """Close the stream and what the chunks are read from."""
        with suppress(AttributeError):
            self._chunks.close()  # type: ignore[attr-defined]
        super().close()

    def _has_more(self) -> bool:
        while not self._rest and not self._is_at_end:
            self._rest = memoryview(b"")  # Even an empty view would keep the whole chunk in memory.
            try:
                self._rest = memoryview(next(self._chunks))
            except StopIteration:
                self._is_at_end = True
            except (InputError, OSError) as error:
                self._is_at_end, self._error = True, error
        return bool(self._rest)


def chunks_of(file: io.BufferedReader) -> Iterator[bytes]:
    """Yield the content of a file in chunks."""
    while chunk := file.read1(BUFFER_BYTES):
        yield chunk


def look_ahead(held: bytes, chunks: Iterator[bytes], n_bytes: int) -> tuple[bytes, Exception | None]:
    """Extend ``held`` to at least ``n_bytes`` bytes, or to the end; also returns the error that ended it, if any."""
    parts, n_held = [held], len(held)
    try:
        while n_held < n_bytes and (chunk := next(chunks, b"")):
            parts.append(chunk)
            n_held += len(chunk)
    except (InputError, OSError) as error:
        return b"".join(parts), error
    return b"".join(parts), None


def followed(content: bytes, chunks: Iterator[bytes], error: Exception | None) -> Iterator[bytes]:
    """Yield content that was read ahead, and then the chunks that follow it.

    Raises:
        InputError, OSError: the error that :func:`look_ahead` returned.
    """
    yield content
    if error is not None:
        raise error
    yield from chunks


def with_line_feeds(chunks: Iterator[bytes], *, everywhere: bool) -> Iterator[bytes]:
    """Yield text whose lines all end with a line feed, which a carriage return may precede.

    A lone carriage return is replaced by a line feed if ``everywhere`` is true or most of the first lines end with one;
    otherwise it is an ordinary character. Text in quotation marks does not count.
    """
    if not everywhere:
        head, error = look_ahead(b"", chunks, HEAD_BYTES)
        chunks = followed(head, chunks, error)
        head = head[:HEAD_BYTES].removesuffix(b"\r")
        outside = QUOTED.sub(b"", head) if b"\r" in head else b""
        everywhere = len(LONE_RETURN.findall(outside)) > outside.count(b"\n")
    if not everywhere:
        yield from chunks
        return
    last = b""
    for chunk in chunks:
        text = last + chunk
        last = b"\r" if text.endswith(b"\r") else b""
        yield LONE_RETURN.sub(b"\n", text.removesuffix(b"\r")) if b"\r" in text else text
    yield b"\n" if last else b""
