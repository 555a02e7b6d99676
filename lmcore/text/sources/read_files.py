"""From the files of a source to its documents, one after the other."""

from collections.abc import Iterator, Sequence

from lmcore.config.collect import Docstrings, ParallelLines, ReadingLimits, RecordFields, Source, TextLines, WholeFiles
from lmcore.text.documents.document import Document, InputError, ReadError
from lmcore.text.sources.files.input_file import InputFile, input_files
from lmcore.text.sources.notes import Notes
from lmcore.text.sources.readers.docstrings import read_docstrings
from lmcore.text.sources.readers.lines import read_lines, read_parallel_lines
from lmcore.text.sources.readers.records import read_records
from lmcore.text.sources.readers.whole_files import read_whole_file
from lmcore.text.sources.source_file import SourceFile


def read_files(
    source: Source, files: Sequence[SourceFile], limits: ReadingLimits, notes: Notes | None = None
) -> Iterator[Document | ReadError]:
    """Yield the documents of some files, and the read errors in between, as they are read.

    Files come in the given order, members of archives in that of their names, documents in that of their lines.
    Neither a file nor its documents are ever held in memory as a whole; reading continues after a read error
    wherever possible. Decisions about files, such as a detected encoding, are noted.

    Raises:
        ValueError: if the whole source is wrong: a template, a column that a table does not have, or files of
            different length where they are to be read line by line.
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
    """Yield what a file holds; last of all, why it could not be read to its end, if so."""
    try:
        match file.source.reader:
            case Docstrings():
                yield from read_docstrings(file)
            case TextLines() as reader:
                yield from read_lines(file, reader)
            case RecordFields() as reader:
                yield from read_records(file, reader)
            case WholeFiles() as reader:
                yield from read_whole_file(file, reader)
    except InputError as error:
        yield file.read_error(error)
