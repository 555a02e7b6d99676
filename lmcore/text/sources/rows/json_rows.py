"""JSON objects as rows: one a line, or in a list that is never held whole (RFC 8259)."""

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BufferedReader
from typing import Any

from lmcore.text.documents.document import InputError
from lmcore.text.sources.files.byte_streams import BUFFER_BYTES
from lmcore.text.sources.files.input_file import InputFile
from lmcore.text.sources.files.text_lines import text_lines
from lmcore.text.sources.rows.nested_rows import Row, inner_rows, with_parents

JsonRows = Iterator[tuple[int, Row | InputError]]

DECODER = json.JSONDecoder()
SPACE = re.compile(r"[ \t\n\r]*")
NEXT_OBJECT = re.compile(r"\}[ \t\n\r]*,?[ \t\n\r]*(?=\{)")
# The longest thing, besides a string, that a cut can split so that its beginning looks wrong: an escaped pair of
# surrogates, or a number.
LONGEST_TOKEN = 32


def json_line_rows(file: InputFile, path: Sequence[str] = ()) -> JsonRows:
    """Yield the object of each line, or the rows that lie in it at a path; lines without anything are passed over.

    Raises:
        InputError: with its line, where the file cannot be read any further.
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
                    yield line, row if isinstance(row, dict) else _no_object(row)


def json_rows(file: InputFile, path: Sequence[str] = ()) -> JsonRows:
    """Yield the objects of a file: those of a list, the only one, or several one behind the other.

    Behind one that is malformed or too long, reading goes on where the next one seems to begin. With a path, the rows
    that lie there are read one by one, as far as it leads through objects and to a list: that is never held whole.
    They have those fields of the objects around them that stand before it.

    Raises:
        InputError: with its line, where the file cannot be read any further.
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
    """A window on the text of a file, which moves on over it.

    Bytes that are not UTF-8 are lone surrogates in it, so that only the text that holds them is lost.

    Attributes:
        held: what is in the window.
        place: where in there the next character stands that was not used.
        line: of that character.
        is_whole: whether the window reaches to the end of the file.
        is_lost: whether the end was reached looking for an object behind one that is malformed.
    """

    def __init__(self, stream: BufferedReader, max_characters: int) -> None:
        self._stream = stream
        self._max_characters = max_characters
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.held = ""
        self.place = 0
        self.line = 1
        self.is_whole = False
        self.is_lost = False

    @property
    def is_full(self) -> bool:
        """Whether as much is held as may be."""
        return self.is_too_long(len(self.held))

    def is_too_long(self, end: int) -> bool:
        """Whether an object that begins here and ends there is longer than it may be."""
        return end - self.place > self._max_characters

    def go_to(self, place: int) -> None:
        """Move on to a place in what is held."""
        self.line += self.held.count("\n", self.place, place)
        self.place = place

    def skip_space(self, *more: str) -> str:
        """Move on to the next character that is neither white space nor one of ``more``; return it, or nothing."""
        while True:
            space = SPACE.match(self.held, self.place)
            self.go_to(self.place if space is None else space.end())
            if self.place < len(self.held):
                if (character := self.held[self.place]) not in more:
                    return character
                self.go_to(self.place + 1)
            elif not self.grow():
                return ""

    def grow(self) -> bool:
        """Hold more, twice as much if need be; False at the end of the file.

        Raises:
            InputError: if there is more, but it cannot be read.
        """
        if self.is_whole:
            return False
        read = self._stream.read1(BUFFER_BYTES)
        self.is_whole = not read
        more = [read]
        # What came before a damage is looked at first; the stream reports the damage again when asked again.
        with suppress(InputError):
            while read and sum(map(len, more)) < len(self.held) - self.place:
                more.append(read := self._stream.read1(BUFFER_BYTES))
        self.held = self.held[self.place :] + self._decoder.decode(b"".join(more), self.is_whole)
        self.place = 0
        return True

    def go_to_next_object(self) -> None:
        """Move on to where an object seems to begin behind the end of another; else to the end of the file."""
        while (found := NEXT_OBJECT.search(self.held, self.place)) is None:
            self.go_to(max(self.place, len(self.held) - LONGEST_TOKEN))
            if not self.grow():
                self.go_to(len(self.held))
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
    """Yield the rows of a list; those of a list within an object have its fields, too."""
    text.go_to(text.place + 1)
    while character := text.skip_space(","):
        if character == "]":
            text.go_to(text.place + 1)
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
        InputError: ``malformed_json``, if it is no object.
    """
    name, *rest = path
    line, is_found = text.line, False
    known = dict(parents)
    text.go_to(text.place + 1)
    while (character := text.skip_space(",")) != "}":
        key = _value(text, file, needs_object=False) if character == '"' else None
        if not isinstance(key, str) or text.skip_space() != ":":
            raise InputError("malformed_json", "an object is cut off or malformed")
        text.go_to(text.place + 1)
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
    text.go_to(text.place + 1)
    if not is_found:
        yield from ((line, row) for row in inner_rows(known, path))


def _inner_rows(row: Any, path: Sequence[str]) -> Iterator[Row | InputError]:
    """What an object is, or holds at a path; an error as it is."""
    if isinstance(row, dict):
        yield from inner_rows(row, path)
    else:
        yield row if isinstance(row, InputError) else _no_object(row)


def _value(text: _Text, file: InputFile, *, needs_object: bool = True) -> Any:
    """The next object or value, or the error that says what is wrong with it; the text moves on behind it."""
    while True:
        problem, may_be_cut = file.too_long("the object"), True
        try:
            value, end = DECODER.raw_decode(text.held, text.place)
        except (ValueError, RecursionError) as error:
            may_be_cut = _may_be_cut(error, text)
            if not may_be_cut or not text.is_full:
                problem = _malformed(error)
        else:
            # A number at the end of what is held may go on behind it.
            if isinstance(value, dict) or end < len(text.held) or text.is_whole:
                return _take(value, end, text, file, needs_object=needs_object)
        if not may_be_cut or text.is_full or not text.grow():
            text.go_to_next_object()
            return problem


def _take(value: Any, end: int, text: _Text, file: InputFile, *, needs_object: bool) -> Any:
    is_too_long = text.is_too_long(end)
    text.go_to(end)
    if is_too_long:
        return file.too_long("the object")
    return value if isinstance(value, dict) or not needs_object else _no_object(value)


def _may_be_cut(error: Exception, text: _Text) -> bool:
    """Whether it may be no error but the end of what is held."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated string") or error.pos >= len(text.held) - LONGEST_TOKEN


def _malformed(error: Exception) -> InputError:
    if isinstance(error, RecursionError):
        return InputError("malformed_json", "lists and objects are nested too deeply")
    if not isinstance(error, json.JSONDecodeError):
        return InputError("malformed_json", str(error))
    # The position that it ends with is one in what is held of the file; the line is known.
    return InputError("malformed_json", error.msg.removesuffix(" at").removesuffix(" starting"))


def _no_object(value: Any) -> InputError:
    return InputError("not_an_object", f"a value of type {type(value).__name__} stands where an object belongs")
