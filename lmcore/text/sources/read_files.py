"""Reads the files of a source, one after the other, with the reader of its configuration."""

from collections.abc import Iterator, Sequence

from lmcore.config.collect import ReadingLimits, Source
from lmcore.config.readers import Conversations, Docstrings, ParallelLines, RecordFields, TextLines, WholeFiles
from lmcore.text.documents.document import Document, InputError, ReadError
from lmcore.text.sources.input_files.input_file import InputFile, input_files
from lmcore.text.sources.notes import Notes
from lmcore.text.sources.readers.conversations import read_conversations
from lmcore.text.sources.readers.docstrings import read_docstrings
from lmcore.text.sources.readers.lines import read_lines, read_parallel_lines
from lmcore.text.sources.readers.records import read_records
from lmcore.text.sources.readers.whole_files import read_whole_file
from lmcore.text.sources.source_file import SourceFile


def read_files(
    source: Source, files: Sequence[SourceFile], limits: ReadingLimits, notes: Notes | None = None
) -> Iterator[Document | ReadError]:
    """Yield documents and read errors in the order in which they are read.

    Files are read in the given order, members of archives sorted by name, and documents in the order of their lines.
    Neither a file nor its documents are ever held in memory as a whole; reading continues after a read error
    wherever possible. Decisions about files, such as a detected encoding, are noted.

    Raises:
        UserError: if the reader's configuration does not fit the source: a wrong template, a column that a table does
            not have, or parallel files with different numbers of lines.
    """
    notes = Notes() if notes is None else notes
    if isinstance(source.reader, ParallelLines):
        yield from read_parallel_lines(source, files, limits, notes)
        return
    for file in files:
        for found in input_files(source, file, limits, notes):
            if isinstance(found, ReadError):
                yield found
            else:
                yield from _read(found)


def _read(file: InputFile) -> Iterator[Document | ReadError]:
    """Yield the documents of a file, and a read error at the end if the rest of it cannot be read."""
    try:
        match file.source.reader:
            case Docstrings():
                yield from read_docstrings(file)
            case TextLines() as reader:
                yield from read_lines(file, reader)
            case RecordFields() as reader:
                yield from read_records(file, reader)
            case Conversations() as reader:
                yield from read_conversations(file, reader)
            case WholeFiles() as reader:
                yield from read_whole_file(file, reader)
    except InputError as error:
        yield file.read_error(error)
