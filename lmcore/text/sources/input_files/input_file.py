"""Files as readers see them: decompressed, decoded, and one by one if they are members of an archive."""

import io
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from lmcore.config.collect import ReadingLimits, Source
from lmcore.config.readers import Docstrings
from lmcore.text.documents.document import Document, InputError, ReadError
from lmcore.text.sources.input_files.byte_streams import BUFFER_BYTES, Stream, with_line_feeds
from lmcore.text.sources.input_files.compression import (
    COMPRESSIONS,
    Budget,
    Decompressor,
    file_chunks,
    rechunked,
    unpack,
)
from lmcore.text.sources.input_files.encodings import Encoding, utf8_chunks
from lmcore.text.sources.input_files.members import ChosenMember, chosen_members
from lmcore.text.sources.input_files.tar_archive import TarArchive
from lmcore.text.sources.input_files.zip_archive import ZipArchive
from lmcore.text.sources.notes import Notes
from lmcore.text.sources.source_file import SourceFile

ZIP, TAR = ".zip", ".tar"
SHORT_ENDINGS = {".tgz": ".gz", ".tbz": ".bz2", ".tbz2": ".bz2", ".txz": ".xz", ".tzst": ".zst"}
"""Short extensions of compressed tar archives, and the extension of the compression."""
UNREADABLE_FORMATS = frozenset({".7z", ".br", ".cab", ".lz", ".lz4", ".lzma", ".rar", ".z"})
"""Extensions of archives and compressions that are not supported."""

Chunks = Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of a source, plain, compressed or in an archive.

    Attributes:
        source: the source that it belongs to.
        file: the file itself, or the archive that contains it.
        path: relative to the source: ``folder/name.csv.gz`` or ``archive.zip/member.csv``.
        format: its extension in lower case, without that of a compression: ``.csv``.
        max_bytes: the largest size of a document, and of a line or row that a document is read from.
        budget: the number of bytes that it may still unpack to.
        chunks: opens its decompressed content; None for a plain file.
        folder: the first folder below the source's path, or in the archive, if any.
        notes: collects what is detected about it.
    """

    source: Source
    file: SourceFile
    path: str
    format: str
    max_bytes: int
    budget: Budget
    chunks: Chunks | None
    folder: str | None
    notes: Notes

    @contextmanager
    def open(self) -> Iterator[io.BufferedReader]:
        """Open it as bytes, which are decompressed while they are read.

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
        """Open it as UTF-8 text without a byte order mark; the encoding is configured in the reader or detected.

        What cannot be decoded becomes bytes that are invalid in UTF-8, so that only its line is lost. Lines end with a
        line feed, also in a file with lone carriage returns.

        Args:
            detects: whether to detect the encoding if there is neither a byte order mark nor a configured encoding.
            returns_end_lines: whether a lone carriage return always ends a line.

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
        """Open it as seekable bytes; a compressed file is unpacked to a temporary file first.

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
        labels: tuple[str, ...] | None = None,
        messages: str | None = None,
        rejected: str | None = None,
    ) -> Document | ReadError:
        """Make a document, or a read error (``empty_text``, ``not_unicode``, ``too_long``) if the text is unusable."""
        try:
            self._check(text)
            for content in (target, messages, rejected):
                if content is not None:
                    self._check(content)
        except InputError as error:
            return self.read_error(error, line)
        return Document(
            text=text,
            label=label or (None if labels else self.file.package),
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
            labels=labels,
            messages=messages,
            rejected=rejected,
        )

    def read_error(self, error: InputError, line: int | None = None) -> ReadError:
        """Make a read error of this file from an exception, at ``line`` or, if it is None, at the exception's line."""
        return ReadError(self.source.name, self.path, error.line if line is None else line, error.reason, error.detail)

    def too_long(self, what: str) -> InputError:
        """The error for something larger than :attr:`max_bytes`."""
        return InputError("too_long", f"{what} has more than {self.max_bytes} bytes (max_document_bytes)")

    def _note(self, encoding: Encoding) -> None:
        self.notes.add(self.path, f"read as {encoding.name}", encoding.confidence)

    def _check(self, text: str) -> None:
        if not text or text.isspace():
            raise InputError("empty_text", "there is no text")
        try:
            n_bytes = len(text.encode())
        except UnicodeEncodeError:
            raise InputError("not_unicode", "the text holds a lone surrogate") from None
        if n_bytes > self.max_bytes:
            raise self.too_long("the text")


def input_files(
    source: Source, file: SourceFile, limits: ReadingLimits, notes: Notes
) -> Iterator[InputFile | ReadError]:
    """Yield a file, or the members of an archive sorted by name, after the read error of a damaged archive.

    A member gives a read error if it is encrypted (``encrypted``), an archive itself (``nested_archive``), has a name
    that points outside the archive (``outside_folder``), is not a regular file (``not_a_file``), or is followed by
    another member of the same name (``replaced``).
    """
    whole = _file(source, file, limits, notes)
    if whole.format == TAR or (whole.format == ZIP and whole.chunks is None):
        yield from _members(whole)
    elif whole.format in (ZIP, *UNREADABLE_FORMATS):
        yield whole.read_error(InputError("unknown_format", f"{whole.format} files are not supported: unpack it first"))
    else:
        yield whole


def _members(whole: InputFile) -> Iterator[InputFile | ReadError]:
    try:
        with whole.open() as stream:
            _not_empty(stream)
        with _readable():
            archive = _archive(whole)
            members, error = archive.list_members()
        if error is not None:
            yield whole.read_error(error)
        elif not members:
            raise InputError("empty_file", "the archive contains no file")
    except InputError as error:
        yield whole.read_error(error)
        return
    for chosen in chosen_members(members):
        if whole.budget.is_spent and whole.format == ZIP:
            return
        found = _member(whole, chosen, archive)
        if chosen.problem is not None:
            yield found.read_error(chosen.problem)
        elif found.format in (ZIP, TAR, *UNREADABLE_FORMATS):
            yield found.read_error(InputError("nested_archive", "nested archives are not supported: unpack it first"))
        else:
            yield found


def _archive(whole: InputFile) -> ZipArchive | TarArchive:
    if whole.format == ZIP:
        return ZipArchive(whole.file.path, whole.budget)
    if whole.chunks is None:
        return TarArchive(whole.file.path.open("rb"), whole.budget)  # It closes the file.
    return TarArchive.unpacked(whole.chunks(), whole.budget)


def _file(source: Source, file: SourceFile, limits: ReadingLimits, notes: Notes) -> InputFile:
    ending, compression = _format(file.name)
    budget = Budget(limits.max_unpacked_bytes)

    def unpacked() -> Iterator[bytes]:
        return iter(()) if compression is None else budget.limit(unpack(lambda: file_chunks(file.path), compression))

    chunks = None if compression is None else unpacked
    return InputFile(source, file, file.name, ending, limits.max_document_bytes, budget, chunks, file.folder, notes)


def _member(whole: InputFile, chosen: ChosenMember, archive: ZipArchive | TarArchive) -> InputFile:
    ending, compression = _format(chosen.name)

    def content() -> Iterator[bytes]:
        return archive.read(chosen.member)

    def unpacked() -> Iterator[bytes]:
        if compression is None:
            return content()
        return whole.budget.limit(unpack(lambda: rechunked(content()), compression))

    path, folder = f"{whole.file.name}/{chosen.name}", whole.file.folder or chosen.folder
    return replace(whole, path=path, format=ending, chunks=unpacked, folder=folder)


def _format(path: str) -> tuple[str, Callable[[], Decompressor] | None]:
    """The extension of a name without that of its compression, and the compression, if any."""
    name = PurePosixPath(path.lower())
    if name.suffix in SHORT_ENDINGS:
        return TAR, COMPRESSIONS[SHORT_ENDINGS[name.suffix]]
    compression = COMPRESSIONS.get(name.suffix)
    return name.suffix if compression is None else PurePosixPath(name.stem).suffix, compression


@contextmanager
def _readable() -> Iterator[None]:
    """Turn errors of the operating system into read errors, in words that are the same on every machine."""
    try:
        yield
    except OSError as error:
        raise InputError("unreadable_file", error.strerror or type(error).__name__) from error


def _check_is_file(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):  # Opening a pipe could wait forever.
        raise InputError("unreadable_file", "it is a folder, a device or a pipe")


def _not_empty(file: io.BufferedReader) -> io.BufferedReader:
    if not file.peek(1):
        raise InputError("empty_file", "the file is empty")
    return file
