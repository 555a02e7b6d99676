"""Divides one long text into documents by size, at headings or at blank lines; holds one part in memory.

Each document is a part of the file, without leading blank lines and trailing white space.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lmcore.config.readers import Division, DivisionAtBlankLines, DivisionAtHeadings, DivisionBySize
from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.encodings import not_unicode
from lmcore.text.sources.input_files.input_file import InputFile

SEGMENT_BYTES = 2**16
SEGMENT_CHARACTERS = 2**16
FENCE = re.compile(r" {0,3}(```|~~~)")
MARKDOWN_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
UNDERLINE = re.compile(r" {0,3}(?:=+|-{2,})[ \t]*$")
BORDERS = (
    re.compile(r"\n[ \t]*\n\s*"),
    re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u2019\u201d\u00bb)\]]*[ \t]*\n"),
    re.compile(r"\n"),
    re.compile(r"[.!?\u2026][\"'\u2019\u201d\u00bb)\]]*[ \t]+|[\u3002\uff01\uff1f]"),
    re.compile(r"\s+"),
)
"""Where a text may be cut, in the order of preference: after a paragraph, after a line that ends a sentence, after a
line, a sentence or a word."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A line, or a section of a long one: its number, from 1, and its text with the line feed."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a text, and the line at which it begins."""

    line: int
    text: str


Segments = Iterator[Segment | InputError]
Parts = Iterator[Part | InputError]


def segments_of_file(file: InputFile) -> Segments:
    """Yield the lines of a text file; in place of a line that cannot be decoded, yield an error.

    Raises:
        InputError: if the rest of the file cannot be read, or it is not text.
    """
    with file.open_text(returns_end_lines=True) as stream:
        line, buffer = 1, b""
        while content := stream.readline(SEGMENT_BYTES):
            buffer += content
            try:
                text, buffer = buffer.decode(), b""
            except UnicodeDecodeError as error:
                is_cut = not content.endswith(b"\n") and error.end == len(buffer) and len(buffer) - error.start < 4
                if not is_cut:
                    yield not_unicode(error, line)
                    line += buffer.endswith(b"\n")
                    buffer = b""
                    continue
                text, buffer = buffer[: error.start].decode(), buffer[error.start :]
            if "\0" in text:
                raise InputError("not_text", "it contains zero bytes: it is in a binary format", line)
            yield Segment(line, text.replace("\r\n", "\n"))
            line += content.endswith(b"\n")
        if buffer:
            yield InputError("not_unicode", "the file ends in the middle of a character", line)


def segments_of_text(text: str) -> Segments:
    """Yield the lines of a text."""
    for line, content in enumerate(text.splitlines(keepends=True), start=1):
        for start in range(0, len(content), SEGMENT_CHARACTERS):
            yield Segment(line, content[start : start + SEGMENT_CHARACTERS])


def divide_text(segments: Segments, division: Division, max_bytes: int) -> Parts:
    """Divide a text into parts; yields them in order, and the errors in between.

    Leading blank lines and trailing white space of a part are dropped. A part larger than ``max_bytes`` is an error
    and is not held in memory.
    """
    match division:
        case DivisionBySize():
            yield from _trimmed(_by_size(segments, division.max_characters))
        case DivisionAtHeadings():
            yield from _trimmed(_at_lines(_with_borders_at_headings(segments, division.pattern), max_bytes))
        case DivisionAtBlankLines():
            yield from _trimmed(_at_lines(_with_borders_at_blank_lines(segments, division.min_lines), max_bytes))


def _by_size(segments: Segments, max_characters: int) -> Parts:
    line, buffer, n_buffered = 1, list[str](), 0
    for segment in segments:
        if isinstance(segment, InputError):
            yield segment
            continue
        if not buffer:
            line = segment.line
        buffer.append(segment.text)
        n_buffered += len(segment.text)
        if n_buffered <= max_characters:
            continue
        text = "".join(buffer)
        while len(text) > max_characters:
            end = _border(text, max_characters)
            yield Part(line, text[:end])
            line += text.count("\n", 0, end)
            text = text[end:]
        buffer, n_buffered = [text] if text else [], len(text)
    yield Part(line, "".join(buffer))


def _border(text: str, max_characters: int) -> int:
    """The position to cut at: the last border in the second half of the allowed length, or its end."""
    for border in BORDERS:
        end = 0
        for found in border.finditer(text, max_characters // 2, max_characters):
            end = found.end()
        if end:
            return end
    return max_characters


Bordered = Iterator[tuple[Segment | InputError, bool]]
"""Segments, each with whether a new part begins with it."""


def _at_lines(segments: Bordered, max_bytes: int) -> Parts:
    line, buffer, n_bytes = 1, list[str](), 0
    for segment, begins in segments:
        if isinstance(segment, InputError):
            yield segment
            continue
        if begins:
            yield _part(line, buffer, n_bytes, max_bytes)
            buffer, n_bytes = [], 0
        if not buffer:
            line = segment.line
        n_bytes += len(segment.text.encode())
        if n_bytes <= max_bytes:
            buffer.append(segment.text)
    yield _part(line, buffer, n_bytes, max_bytes)


def _part(line: int, buffer: list[str], n_bytes: int, max_bytes: int) -> Part | InputError:
    if n_bytes > max_bytes:
        detail = f"a part has {n_bytes} bytes, more than max_document_bytes, {max_bytes}: divide by size"
        return InputError("too_long", detail, line)
    return Part(line, "".join(buffer))


def _with_borders_at_headings(segments: Segments, pattern: str | None) -> Bordered:
    """Mark a border before each heading, except between consecutive headings, which belong to the same part."""
    is_heading = _markdown_headings() if pattern is None else _matches(pattern)
    has_text = False
    # The next line may underline this one, which makes it a heading.
    for segment, below in _with_next(segments):
        if isinstance(segment, InputError):
            yield segment, False
            continue
        found = is_heading(segment.text, below)
        yield segment, found and has_text
        has_text = (has_text and not found) or not (found or segment.text.isspace())


def _with_next(segments: Segments) -> Iterator[tuple[Segment | InputError, str]]:
    last: Segment | InputError | None = None
    for segment in segments:
        if last is not None:
            yield last, segment.text if isinstance(segment, Segment) else ""
        last = segment
    if last is not None:
        yield last, ""


def _matches(pattern: str) -> Callable[[str, str], bool]:
    compiled = re.compile(pattern)
    return lambda line, below: compiled.search(line.rstrip("\n")) is not None


def _markdown_headings() -> Callable[[str, str], bool]:
    fence: str | None = None
    was_paragraph = False

    def is_heading(line: str, below: str) -> bool:
        nonlocal fence, was_paragraph
        marks = FENCE.match(line)
        if marks is not None and fence in (None, marks[1]):
            fence = marks[1] if fence is None else None
        is_inside, before = fence is not None or marks is not None, was_paragraph
        is_underlined = not line.isspace() and UNDERLINE.match(line) is None and UNDERLINE.match(below) is not None
        was_paragraph = not (line.isspace() or is_inside)
        return not is_inside and (MARKDOWN_HEADING.match(line) is not None or (is_underlined and not before))

    return is_heading


def _with_borders_at_blank_lines(segments: Segments, min_lines: int) -> Bordered:
    n_blank = 0
    for segment in segments:
        if isinstance(segment, InputError):
            yield segment, False
        else:
            is_blank = segment.text.isspace()
            yield segment, not is_blank and n_blank >= min_lines
            n_blank = n_blank + 1 if is_blank else 0


def _trimmed(parts: Parts) -> Parts:
    for part in parts:
        if isinstance(part, InputError):
            yield part
            continue
        text = part.text.lstrip("\n")
        if text and not text.isspace():
            yield Part(part.line + len(part.text) - len(text), text.rstrip())
