"""JSON objects as rows: one per line, or in a list that is never in memory as a whole (RFC 8259)."""

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BufferedReader
from typing import Any

from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.byte_streams import BUFFER_BYTES
from lmcore.text.sources.input_files.input_file import InputFile
from lmcore.text.sources.input_files.text_lines import text_lines
from lmcore.text.sources.rows.nested_rows import Row, inner_rows, with_parents

JsonRows = Iterator[tuple[int, Row | InputError]]

DECODER = json.JSONDecoder()
SPACE = re.compile(r"[ \t\n\r]*")
NEXT_OBJECT = re.compile(r"\}[ \t\n\r]*,?[ \t\n\r]*(?=\{)")
# The longest token, apart from strings, whose beginning alone looks malformed: an escaped surrogate pair, or a number.
LONGEST_TOKEN = 32


def json_line_rows(file: InputFile, path: Sequence[str] = ()) -> JsonRows:
    """Yield the object of each line, or the rows nested in it at a path; blank lines are skipped.

    Raises:
        InputError: with its line, if the rest of the file cannot be read.
    """
    decode = DECODER.decode
    for line, content in text_lines(file):
        if isinstance(content, InputError):
            yield line, content
        elif content and not content.isspace():
            try:
                row = decode(content)
            except (ValueError, RecursionError) as error:
                yield line, _malformed(error)
            else:
                if path:
                    yield from ((line, inner) for inner in _inner_rows(row, path))
                else:
                    yield line, row if isinstance(row, dict) else _not_an_object(row)


def json_rows(file: InputFile, path: Sequence[str] = ()) -> JsonRows:
    """Yield the objects of a file: of a list, a single one, or several in a row.

    After a malformed or too long object, reading continues where the next one seems to begin. With a path, the rows
    nested there are read one by one if the path leads through objects to a list, which is never in memory as a whole.
    Rows also have those fields of the enclosing objects that come before the list.

    Raises:
        InputError: with its line, if the rest of the file cannot be read.
    """
    text: _Text | None = None
    try:
        with file.open_text() as stream:
            text = _Text(stream, file.max_bytes)
            yield from _values(text, file, path)
    except InputError as error:
        error.line = None if text is None else text.line
        raise


class _Text:
    """A window that moves over the text of a file.

    Bytes that are not UTF-8 become lone surrogates, so that only the text that contains them is lost.

    Attributes:
        window: the text in the window.
        position: the index in the window of the next unread character.
        line: the line of that character.
        is_whole: whether the window reaches to the end of the file.
        is_lost: whether the end was reached while searching for an object after a malformed one.
    """

    def __init__(self, stream: BufferedReader, max_characters: int) -> None:
        self._stream = stream
        self._max_characters = max_characters
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.window = ""
        self.position = 0
        self.line = 1
        self.is_whole = False
        self.is_lost = False

    @property
    def is_full(self) -> bool:
        """Whether the window has its largest size."""
        return self.is_too_long(len(self.window))

    def is_too_long(self, end: int) -> bool:
        """Whether an object from the current position to ``end`` is too long."""
        return end - self.position > self._max_characters

    def go_to(self, position: int) -> None:
        """Move to a position in the window."""
        self.line += self.window.count("\n", self.position, position)
        self.position = position

    def skip_space(self, *more: str) -> str:
        """Move to the next character that is neither white space nor in ``more``; returns it, or "" at the end."""
        while True:
            space = SPACE.match(self.window, self.position)
            self.go_to(self.position if space is None else space.end())
            if self.position < len(self.window):
                if (character := self.window[self.position]) not in more:
                    return character
                self.go_to(self.position + 1)
            elif not self.grow():
                return ""

    def grow(self) -> bool:
        """Extend the window, up to twice its size; returns False at the end of the file.

        Raises:
            InputError: if there is more, but it cannot be read.
        """
        if self.is_whole:
            return False
        read = self._stream.read1(BUFFER_BYTES)
        self.is_whole = not read
        more = [read]
        # Text before an error is used first; the stream raises the error again at the next call.
        with suppress(InputError):
            while read and sum(map(len, more)) < len(self.window) - self.position:
                more.append(read := self._stream.read1(BUFFER_BYTES))
        self.window = self.window[self.position :] + self._decoder.decode(b"".join(more), self.is_whole)
        self.position = 0
        return True

    def go_to_next_object(self) -> None:
        """Move to where an object seems to begin after the end of another one, or to the end of the file."""
        while (found := NEXT_OBJECT.search(self.window, self.position)) is None:
            self.go_to(max(self.position, len(self.window) - LONGEST_TOKEN))
            if not self.grow():
                self.go_to(len(self.window))
                self.is_lost = True
                return
        self.go_to(found.end())


def _values(text: _Text, file: InputFile, path: Sequence[str]) -> JsonRows:
    if text.skip_space() == "[":
        yield from _list_rows(text, file, path)
        if text.skip_space():
            yield text.line, InputError("malformed_json", "there is data after the end of the list")
        return
    while character := text.skip_space(","):
        if path and character == "{":
            yield from _object_rows(text, file, path, {})
        else:
            line = text.line
            yield from ((line, row) for row in _inner_rows(_value(text, file), path))


def _list_rows(
    text: _Text, file: InputFile, path: Sequence[str], name: str = "", parents: Row | None = None
) -> JsonRows:
    """Yield the rows of a list; those of a list in an object have its fields, too."""
    text.go_to(text.position + 1)
    while character := text.skip_space(","):
        if character == "]":
            text.go_to(text.position + 1)
            return
        line = text.line
        row = _value(text, file, needs_object=parents is None)
        if parents is not None and not isinstance(row, InputError):
            row = with_parents(row, name, parents)
        yield from ((line, inner) for inner in _inner_rows(row, path))
    if not text.is_lost:
        yield text.line, InputError("malformed_json", "the list does not end: the file is cut off")


def _object_rows(text: _Text, file: InputFile, path: Sequence[str], parents: Row) -> JsonRows:
    """Yield the rows at a path in an object whose members are read one by one.

    Raises:
        InputError: ``malformed_json`` if it is not an object.
    """
    name, *rest = path
    line, is_found = text.line, False
    known = dict(parents)
    text.go_to(text.position + 1)
    while (character := text.skip_space(",")) != "}":
        key = _value(text, file, needs_object=False) if character == '"' else None
        if not isinstance(key, str) or text.skip_space() != ":":
            raise InputError("malformed_json", "an object is cut off or malformed")
        text.go_to(text.position + 1)
        opened = text.skip_space()
        if key == name and opened == "[":
            is_found = True
            yield from _list_rows(text, file, rest, name, known)
        elif key == name and rest and opened == "{":
            is_found = True
            yield from _object_rows(text, file, rest, known)
        else:
            value = _value(text, file, needs_object=False)
            if isinstance(value, InputError):
                raise value
            known[key] = value
            if key == name:
                is_found = True
                yield from ((text.line, row) for row in inner_rows(known, path))
    text.go_to(text.position + 1)
    if not is_found:
        yield from ((line, row) for row in inner_rows(known, path))


def _inner_rows(row: Any, path: Sequence[str]) -> Iterator[Row | InputError]:
    """Yield an object, or the rows nested in it at a path; an error is yielded unchanged."""
    if isinstance(row, dict):
        yield from inner_rows(row, path)
    else:
        yield row if isinstance(row, InputError) else _not_an_object(row)


def _value(text: _Text, file: InputFile, *, needs_object: bool = True) -> Any:
    """The next object or value, or an error; moves past it."""
    while True:
        problem, may_be_cut = file.too_long("the object"), True
        try:
            value, end = DECODER.raw_decode(text.window, text.position)
        except (ValueError, RecursionError) as error:
            may_be_cut = _may_be_cut(error, text)
            if not may_be_cut or not text.is_full:
                problem = _malformed(error)
        else:
            # A number at the end of the window may continue after it.
            if isinstance(value, dict) or end < len(text.window) or text.is_whole:
                return _take(value, end, text, file, needs_object=needs_object)
        if not may_be_cut or text.is_full or not text.grow():
            text.go_to_next_object()
            return problem


def _take(value: Any, end: int, text: _Text, file: InputFile, *, needs_object: bool) -> Any:
    is_too_long = text.is_too_long(end)
    text.go_to(end)
    if is_too_long:
        return file.too_long("the object")
    return value if isinstance(value, dict) or not needs_object else _not_an_object(value)


def _may_be_cut(error: Exception, text: _Text) -> bool:
    """Whether the error may only be due to the end of the window."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated string") or error.pos >= len(text.window) - LONGEST_TOKEN


def _malformed(error: Exception) -> InputError:
    if isinstance(error, RecursionError):
        return InputError("malformed_json", "lists and objects are nested too deeply")
    if not isinstance(error, json.JSONDecodeError):
        return InputError("malformed_json", str(error))
    # The position in its message refers to the window; the line is known.
    return InputError("malformed_json", error.msg.removesuffix(" at").removesuffix(" starting"))


def _not_an_object(value: Any) -> InputError:
    return InputError("not_an_object", f"expected an object, found a value of type {type(value).__name__}")
