"""The lines of a file, decoded or as bytes: a line that cannot be decoded or is too long costs no other line."""

from collections.abc import Iterator
from typing import BinaryIO

from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.byte_streams import BUFFER_BYTES
from lmcore.text.sources.input_files.encodings import not_unicode
from lmcore.text.sources.input_files.input_file import InputFile

LINE_END = b"\r\n"

Content = str | InputError


def text_lines(file: InputFile, *, returns_end_lines: bool = False) -> Iterator[tuple[int, Content]]:
    """Yield the number of each line, and its text without the line end, or an error (``not_unicode``, ``too_long``).

    Raises:
        InputError: with its line, if the rest of the file cannot be read.
    """
    line = None
    try:
        with file.open_text(returns_end_lines=returns_end_lines) as stream:
            line = 0
            for line, content in enumerate(byte_lines(stream, file.max_bytes), start=1):
                if content is None:
                    yield line, file.too_long("the line")
                    continue
                try:
                    yield line, content.rstrip(LINE_END).decode()
                except UnicodeDecodeError as error:
                    yield line, not_unicode(error)
    except InputError as error:
        error.line = None if line is None else line + 1
        raise


def byte_lines(stream: BinaryIO, max_bytes: int) -> Iterator[bytes | None]:
    """Yield each line with its end, or None for one larger than ``max_bytes``; no more of it is held in memory."""
    n_at_most = max_bytes + len(LINE_END)
    while content := stream.readline(n_at_most):
        if len(content) <= max_bytes or (content.endswith(b"\n") and len(content.rstrip(LINE_END)) <= max_bytes):
            yield content
            continue
        while content and not content.endswith(b"\n"):
            content = stream.readline(BUFFER_BYTES)
        yield None
