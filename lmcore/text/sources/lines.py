"""Text files whose lines are documents: alone, or two files side by side."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import PurePosixPath
from typing import BinaryIO

from lmcore.config.collect import ReadingLimits, Source, TextLines
from lmcore.errors import UserError
from lmcore.text.documents.document import Document, Fault, InputError
from lmcore.text.sources.encodings import not_unicode
from lmcore.text.sources.files import SourceFile
from lmcore.text.sources.notes import Notes
from lmcore.text.sources.opening import InputFile, input_files
from lmcore.text.sources.streams import BUFFER_BYTES
from lmcore.text.sources.unpacking import COMPRESSIONS

LINE_END = b"\r\n"


class _EndError(InputError):
    """What ends a file before its end."""


Content = str | InputError


def read_lines(file: InputFile, reader: TextLines) -> Iterator[Document | Fault]:
    """Yield a document per line, however it ends; lines without anything are passed over.

    Raises:
        InputError: with its line, where the file cannot be read any further.
    """
    label = None if reader.label is None else _label(file, reader.label)
    for line, text in text_lines(file, returns_end_lines=True):
        if isinstance(text, InputError):
            yield file.fault(text, line)
        elif text and not text.isspace():
            yield file.document(text, kind="line", line=line, label=label)


def _label(file: InputFile, template: str) -> str | None:
    """A word, or what the parts of the path make of a template of them."""
    path = PurePosixPath(file.path)
    if path.suffix.lower() in COMPRESSIONS:
        path = path.with_suffix("")
    ending = path.suffix.removeprefix(".")
    return template.format(file=path.name, stem=path.stem, ending=ending, folder=file.folder or "").strip() or None


def read_parallel_lines(
    source: Source, files: Sequence[SourceFile], limits: ReadingLimits, notes: Notes
) -> Iterator[Document | Fault]:
    """Yield a document per line of two files: of the first the text, of the second the target.

    Where neither has anything the line is passed over; where only one can be used, it is a fault of the other.
    When one file cannot be read any further, neither is: nobody knows which lines belong together.

    Raises:
        ValueError: if there are not two files, or one has more lines that are not blank.
    """
    if len(files) != 2:
        raise UserError(f"source {source.name!r} has {len(files)} files; parallel_lines reads two")
    both = [_only_one(source, file, limits, notes) for file in files]
    sides = [side for side in both if isinstance(side, InputFile)]
    if len(sides) < 2:
        yield from (fault for fault in both if isinstance(fault, Fault))
        return
    for line, pair in enumerate(zip_longest(*map(_contents, sides)), start=1):
        if None in pair and not any(isinstance(content, _EndError) for content in pair):
            if any(isinstance(content, str) and not content.strip() for content in pair):
                continue  # A blank line at the end belongs to nothing.
            raise UserError(
                f"source {source.name!r}: {sides[pair.index(None)].path} has no line {line} and the file beside it "
                "has one: line by line they belong together, so both need the same number"
            )
        yield from _read_pair(line, sides, pair)
        if any(isinstance(content, _EndError) for content in pair):
            return


def text_lines(file: InputFile, *, returns_end_lines: bool = False) -> Iterator[tuple[int, Content]]:
    """Yield number and text of each line, without its end, or what is wrong with it (``not_unicode``, ``too_long``).

    Raises:
        InputError: with its line, where the file cannot be read any further.
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
    """Yield each line with its end, or ``None`` for one above ``max_bytes``, of which no more is ever held."""
    n_at_most = max_bytes + len(LINE_END)
    while content := stream.readline(n_at_most):
        if len(content) <= max_bytes or (content.endswith(b"\n") and len(content.rstrip(LINE_END)) <= max_bytes):
            yield content
            continue
        while content and not content.endswith(b"\n"):
            content = stream.readline(BUFFER_BYTES)
        yield None


def _only_one(source: Source, file: SourceFile, limits: ReadingLimits, notes: Notes) -> InputFile | Fault:
    """The file itself, or the only one in an archive.

    Raises:
        ValueError: if an archive holds several.
    """
    found = list(input_files(source, file, limits, notes))
    if len(found) > 1:
        raise UserError(f"source {source.name!r}: {file.name} holds several files; parallel_lines reads one of each")
    return found[0]


def _contents(file: InputFile) -> Iterator[Content]:
    """What the lines hold; last of all, what ended the file before its end."""
    try:
        for _, content in text_lines(file):
            yield content
    except InputError as error:
        yield _EndError(error.reason, error.detail, error.line)


def _read_pair(line: int, sides: Sequence[InputFile], pair: Sequence[Content | None]) -> Iterator[Document | Fault]:
    unusable = False
    for file, content in zip(sides, pair, strict=True):
        if isinstance(content, InputError):
            unusable = True
            yield file.fault(content, None if isinstance(content, _EndError) else line)
    texts = [content for content in pair if isinstance(content, str)]
    if unusable or len(texts) < 2 or not any(text.strip() for text in texts):
        return
    for file, text in zip(sides, texts, strict=True):
        if not text.strip():
            yield file.fault(InputError("empty_text", "there is no text, but in the file beside it"), line)
            return
    yield sides[0].document(texts[0], kind="line", line=line, target=texts[1])
