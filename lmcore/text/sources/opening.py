"""Files of a source as its reader sees them: unpacked, and one by one where they lie in an archive."""

import io
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from lmcore.text.documents import Document, Fault, InputError
from lmcore.text.sources.archives import Member, list_members, unpack_member
from lmcore.text.sources.config import Docstrings, ReadingLimits, Source
from lmcore.text.sources.encodings import Encoding, utf8_chunks
from lmcore.text.sources.files import SourceFile
from lmcore.text.sources.notes import Notes
from lmcore.text.sources.streams import BUFFER_BYTES, Stream, with_line_feeds
from lmcore.text.sources.unpacking import COMPRESSIONS, Budget, file_pieces, repieced, unpack

ARCHIVE = ".zip"
UNREADABLE_FORMATS = frozenset({".7z", ".bz2", ".rar", ".tar", ".tbz", ".tgz", ".txz"})
"""Archives and compressions that would read as a text full of control characters, or not at all."""

Chunks = Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of a source, plain, compressed or in an archive.

    Attributes:
        source: whose it is.
        file: where it lies, or the archive that it lies in.
        path: relative to the source: ``folder/name.csv.gz``, or ``archive.zip/member.csv``.
        format: the ending of its name in lower case, without that of a compression: ``.csv``.
        max_bytes: of a document, and of a line or a row that one is read from.
        budget: for what it unpacks to.
        chunks: starts to unpack it; ``None`` for a plain file.
        notes: take what is decided about it.
    """

    source: Source
    file: SourceFile
    path: str
    format: str
    max_bytes: int
    budget: Budget
    chunks: Chunks | None
    notes: Notes

    @contextmanager
    def open(self) -> Iterator[io.BufferedReader]:
        """Its bytes, unpacked as they are read.

        Raises:
            InputError: ``unreadable_file``; while reading also ``damaged_file`` and ``unpacks_too_large``.
        """
        with _readable():
            if self.chunks is None:
                _check_is_file(self.file.path)
                file: io.BufferedReader = io.BufferedReader(io.FileIO(self.file.path), BUFFER_BYTES)
                with file:
                    yield file
            else:
                with Stream(self.chunks()).buffered() as stream:
                    yield stream

    @contextmanager
    def open_text(self, *, detects: bool = True, returns_end_lines: bool = False) -> Iterator[io.BufferedReader]:
        """Its bytes in UTF-8, without a mark of it, decoded as the reader says or as it is detected.

        What cannot be decoded becomes bytes that are not UTF-8, so that no more than its line is lost. Lines end with
        a line feed, also where the file has carriage returns alone.

        Args:
            detects: whether its encoding is detected where it is neither marked nor given.
            returns_end_lines: whether a carriage return ends a line even amid lines that end otherwise.

        Raises:
            InputError: as :meth:`open`, and ``empty_file``.
        """
        given = None if isinstance(self.source.reader, Docstrings) else self.source.reader.encoding
        with self.open() as file:
            chunks = utf8_chunks(file, given or (None if detects else "utf-8"), self._note)
            with Stream(with_line_feeds(chunks, everywhere=returns_end_lines)).buffered() as stream:
                yield _not_empty(stream)

    @contextmanager
    def open_seekable(self) -> Iterator[BinaryIO]:
        """Its bytes, for formats that are read from their end: a packed file is unpacked to the disk first.

        Raises:
            InputError: as :meth:`open`, and ``empty_file``.
        """
        with self.open() as file:
            _not_empty(file)
            if self.chunks is None:
                yield file
                return
            with tempfile.TemporaryFile() as unpacked:
                while chunk := file.read1(BUFFER_BYTES):
                    unpacked.write(chunk)
                unpacked.seek(0)
                yield unpacked

    def document(
        self,
        text: str,
        *,
        kind: str,
        line: int | None,
        label: str | None = None,
        name: str | None = None,
        target: str | None = None,
    ) -> Document | Fault:
        """A document, or why the text is none: ``empty_text``, ``not_unicode`` or ``too_long``."""
        try:
            self._check(text)
            if target is not None:
                self._check(target)
        except InputError as error:
            return self.fault(error, line)
        return Document(
            text=text,
            label=label or self.file.package,
            source=self.source.name,
            package=self.file.package,
            path=self.path,
            name=name,
            kind=kind,
            line=line,
            version=self.file.version,
            license=self.file.license or self.source.license,
            target=target,
            split=self.source.split,
        )

    def fault(self, error: InputError, line: int | None = None) -> Fault:
        """What is wrong with this file, at a line or, without one, at that of the error."""
        return Fault(self.source.name, self.path, error.line if line is None else line, error.reason, error.detail)

    def too_long(self, what: str) -> InputError:
        """The error for something above :attr:`max_bytes`."""
        return InputError("too_long", f"{what} has more than max_document_bytes, {self.max_bytes} bytes")

    def _note(self, encoding: Encoding) -> None:
        self.notes.add(self.path, f"read as {encoding.name}", encoding.confidence)

    def _check(self, text: str) -> None:
        if not text or text.isspace():
            raise InputError("empty_text", "there is no text")
        try:
            n_bytes = len(text.encode())
        except UnicodeEncodeError:
            raise InputError("not_unicode", "the text holds half a character: a lone surrogate") from None
        if n_bytes > self.max_bytes:
            raise self.too_long("the text")


def input_files(source: Source, file: SourceFile, limits: ReadingLimits, notes: Notes) -> Iterator[InputFile | Fault]:
    """Yield the file itself, or the members of an archive sorted by name; what is wrong with the archive comes first.

    A member is a fault that is encrypted (``encrypted``), an archive itself (``nested_archive``), or named so that it
    would lie somewhere else (``outside_folder``).
    """
    whole = _input_file(source, file, limits, file.name, None, Budget(limits.max_unpacked_bytes), notes)
    if whole.format == ARCHIVE and whole.chunks is None:
        yield from _members(whole, limits)
    elif whole.format in (ARCHIVE, *UNREADABLE_FORMATS):
        yield whole.fault(InputError("unknown_format", f"{whole.format} files are not opened here: unpack it first"))
    else:
        yield whole


def _members(archive: InputFile, limits: ReadingLimits) -> Iterator[InputFile | Fault]:
    file = archive.file
    try:
        with archive.open() as stream:
            _not_empty(stream)
        with _readable():
            members, error = list_members(file.path)
        if error is not None:
            yield archive.fault(error)
        elif not members:
            raise InputError("empty_file", "there is no file in the archive")
    except InputError as error:
        yield archive.fault(error)
        return
    for member in members:
        if archive.budget.is_spent:
            return
        found = _input_file(
            archive.source, file, limits, f"{file.name}/{member.name}", member, archive.budget, archive.notes
        )
        try:
            member.check()
            if found.format in (ARCHIVE, *UNREADABLE_FORMATS):
                raise InputError("nested_archive", "an archive in an archive is not opened: unpack it first")
            yield found
        except InputError as error:
            yield found.fault(error)


def _input_file(
    source: Source,
    file: SourceFile,
    limits: ReadingLimits,
    path: str,
    member: Member | None,
    budget: Budget,
    notes: Notes,
) -> InputFile:
    name = PurePosixPath(path.lower())
    compression = COMPRESSIONS.get(name.suffix)
    ending = name.suffix if compression is None else PurePosixPath(name.stem).suffix

    def member_chunks() -> Iterator[bytes]:
        return iter(()) if member is None else budget.limit(unpack_member(file.path, member))

    def pieces() -> Iterator[bytes]:
        return file_pieces(file.path) if member is None else repieced(member_chunks())

    def unpacked_chunks() -> Iterator[bytes]:
        return member_chunks() if compression is None else budget.limit(unpack(pieces, compression))

    chunks = None if member is None and compression is None else unpacked_chunks
    return InputFile(source, file, path, ending, limits.max_document_bytes, budget, chunks, notes)


@contextmanager
def _readable() -> Iterator[None]:
    """What the system says against reading a file, in words that are the same on every machine."""
    try:
        yield
    except OSError as error:
        raise InputError("unreadable_file", error.strerror or type(error).__name__) from error


def _check_is_file(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):  # A pipe would be waited for, for ever.
        raise InputError("unreadable_file", "it is a folder, a device or a pipe")


def _not_empty(file: io.BufferedReader) -> io.BufferedReader:
    if not file.peek(1):
        raise InputError("empty_file", "there is nothing in it")
    return file
