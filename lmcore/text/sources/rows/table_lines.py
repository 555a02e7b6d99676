"""The lines of a table, read row by row."""

from collections import deque
from contextlib import suppress
from io import BufferedReader
from typing import Self

from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.byte_streams import BUFFER_BYTES
from lmcore.text.sources.input_files.encodings import not_unicode
from lmcore.text.sources.input_files.input_file import InputFile
from lmcore.text.sources.input_files.text_lines import LINE_END

QUOTE = b'"'
RETURN_WITHIN = "\udc0d"
"""Replaces a carriage return within a line, which would end the line; no text contains this character."""


class TableLines:
    """The lines of a table, for a reader that consumes as many lines as a row has.

    Attributes:
        begin: the line where the current row begins.
        problem: the error in the bytes of the row, if any.
        has_returns: whether the row contains :data:`RETURN_WITHIN`.
        is_unclosed: whether the row has an odd number of quotation marks and no end.
    """

    def __init__(self, stream: BufferedReader, file: InputFile) -> None:
        self._stream = stream
        self._file = file
        self._n_at_most = file.max_bytes + len(LINE_END)
        self._line = 0
        self._waiting: deque[bytes] = deque()
        self.begin_row()

    def begin_row(self) -> None:
        """Start the next row: the next lines belong to it."""
        self.begin = self._line + 1
        self.problem: InputError | None = None
        self.has_returns = False
        self.is_unclosed = False
        self._row_lines: list[bytes] = []
        self._n_given = 0

    def give_back(self) -> None:
        """Return all lines of the row but the first one to the stream: they may be rows themselves."""
        self._waiting.extendleft(reversed(self._row_lines[1:]))
        self._line = self.begin

    def give_row_back(self) -> None:
        """Return the line of :meth:`next_row` to the stream."""
        (content,) = self._row_lines
        self._waiting.appendleft(content)
        self._line -= content.endswith(b"\n")

    def skip(self, n_lines: int) -> None:
        """Skip lines."""
        while self._line < n_lines and self._take(BUFFER_BYTES):
            pass
        self.begin_row()

    def look_ahead(self, n_bytes: int) -> str:
        """Read ahead without consuming: the whole lines in the next ``n_bytes`` bytes, or a part of the first one."""
        n_waiting = sum(map(len, self._waiting))
        # An error is raised again when its position is reached.
        with suppress(InputError, OSError):
            while n_waiting < n_bytes and (content := self._stream.readline(self._n_at_most + 1)):
                self._waiting.append(content)
                n_waiting += len(content)
        content = b"".join(self._waiting)[:n_bytes]
        end = content.rfind(b"\n") + 1 if n_waiting > n_bytes else 0
        return content[: end or None].decode(errors="replace")

    def next_row(self) -> str | None:
        """The next line as a row, without its end; None at the end of the file.

        Raises:
            InputError: ``too_long`` after the line was skipped; other errors of reading.
        """
        content = self._take(self._n_at_most + 1)
        if not content:
            return None
        self._row_lines = [content]
        if len(content) > self._n_at_most:
            while content and not content.endswith(b"\n"):
                content = self._take(BUFFER_BYTES)
            raise self._file.too_long("the row")
        return self._decoded(content).rstrip("\r\n")

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        """The next line.

        Raises:
            InputError: ``too_long`` after the row was skipped; other errors of reading.
        """
        content = self._take(self._n_at_most + 1 - self._n_given)
        if not content:
            raise StopIteration
        self._row_lines.append(content)
        self._n_given += len(content)
        if self._n_given > self._n_at_most:
            self._skip_row()
            raise self._file.too_long("the row")
        text = self._decoded(content)
        within = text.rstrip("\r\n")
        if "\r" not in within:
            return text
        self.has_returns = True
        return within.replace("\r", RETURN_WITHIN) + text[len(within) :]

    def _decoded(self, content: bytes) -> str:
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            self.problem = not_unicode(error, self._line)
            return content.decode(errors="replace")

    def _take(self, n_at_most: int) -> bytes:
        content = self._waiting.popleft() if self._waiting else self._stream.readline(n_at_most)
        self._line += content.endswith(b"\n")
        return content

    def _skip_row(self) -> None:
        """Move to the end of the line on which all quotation marks are closed."""
        n_quotes = sum(content.count(QUOTE) for content in self._row_lines)
        content = self._row_lines[-1]
        self._row_lines = []
        while content and not (content.endswith(b"\n") and n_quotes % 2 == 0):
            content = self._take(BUFFER_BYTES)
            n_quotes += content.count(QUOTE)
        self.is_unclosed = n_quotes % 2 == 1
