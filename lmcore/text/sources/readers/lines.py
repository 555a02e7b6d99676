"""Text files whose lines are documents: one file, or two parallel files."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import PurePosixPath

from lmcore.config.collect import ReadingLimits, Source
from lmcore.config.readers import TextLines
from lmcore.errors import UserError
from lmcore.text.documents.document import Document, InputError, ReadError
from lmcore.text.sources.input_files.compression import COMPRESSIONS
from lmcore.text.sources.input_files.input_file import InputFile, input_files
from lmcore.text.sources.input_files.text_lines import Content, text_lines
from lmcore.text.sources.notes import Notes
from lmcore.text.sources.source_file import SourceFile


class _EndError(InputError):
    """The error after which the rest of a file cannot be read."""


def read_lines(file: InputFile, reader: TextLines) -> Iterator[Document | ReadError]:
    """Yield a document per line, with any kind of line end; blank lines are skipped.

    Raises:
        InputError: with its line, if the rest of the file cannot be read.
    """
    label = None if reader.label is None else _label(file, reader.label)
    for line, text in text_lines(file, returns_end_lines=True):
        if isinstance(text, InputError):
            yield file.read_error(text, line)
        elif text and not text.isspace():
            yield file.document(text, kind="line", line=line, label=label)


def _label(file: InputFile, template: str) -> str | None:
    """The label that a template gives for the path of a file; None if it is empty."""
    path = PurePosixPath(file.path)
    if path.suffix.lower() in COMPRESSIONS:
        path = path.with_suffix("")
    ending = path.suffix.removeprefix(".")
    return template.format(file=path.name, stem=path.stem, ending=ending, folder=file.folder or "").strip() or None


def read_parallel_lines(
    source: Source, files: Sequence[SourceFile], limits: ReadingLimits, notes: Notes
) -> Iterator[Document | ReadError]:
    """Yield a document per line of two files: the text from the first and the target from the second.

    A line that is blank in both files is skipped; one that is blank or unusable in one of them is a read error of that
    file. When the rest of one file cannot be read, reading ends, since it is unknown which lines belong together.

    Raises:
        UserError: if there are not two files, or one has more non-blank lines than the other.
    """
    if len(files) != 2:
        raise UserError(f"source {source.name!r} has {len(files)} files; parallel_lines reads two")
    both = [_only_one(source, file, limits, notes) for file in files]
    sides = [side for side in both if isinstance(side, InputFile)]
    if len(sides) < 2:
        yield from (read_error for read_error in both if isinstance(read_error, ReadError))
        return
    for line, pair in enumerate(zip_longest(*map(_contents, sides)), start=1):
        if None in pair and not any(isinstance(content, _EndError) for content in pair):
            if any(isinstance(content, str) and not content.strip() for content in pair):
                continue  # A trailing blank line.
            raise UserError(
                f"source {source.name!r}: {sides[pair.index(None)].path} has no line {line}, but the other file "
                "has one: both need the same number of lines"
            )
        yield from _read_pair(line, sides, pair)
        if any(isinstance(content, _EndError) for content in pair):
            return


def _only_one(source: Source, file: SourceFile, limits: ReadingLimits, notes: Notes) -> InputFile | ReadError:
    """The file itself, or the only member of an archive.

    Raises:
        UserError: if an archive has several members.
    """
    found = list(input_files(source, file, limits, notes))
    if len(found) > 1:
        raise UserError(f"source {source.name!r}: the archive {file.name} has several files; parallel_lines needs one")
    return found[0]


def _contents(file: InputFile) -> Iterator[Content]:
    """Yield the content of each line, and an error at the end if the rest of the file cannot be read."""
    try:
        for _, content in text_lines(file):
            yield content
    except InputError as error:
        yield _EndError(error.reason, error.detail, error.line)


def _read_pair(line: int, sides: Sequence[InputFile], pair: Sequence[Content | None]) -> Iterator[Document | ReadError]:
    unusable = False
    for file, content in zip(sides, pair, strict=True):
        if isinstance(content, InputError):
            unusable = True
            yield file.read_error(content, None if isinstance(content, _EndError) else line)
    texts = [content for content in pair if isinstance(content, str)]
    if unusable or len(texts) < 2 or not any(text.strip() for text in texts):
        return
    for file, text in zip(sides, texts, strict=True):
        if not text.strip():
            yield file.read_error(InputError("empty_text", "the line is blank here, but not in the other file"), line)
            return
    yield sides[0].document(texts[0], kind="line", line=line, target=texts[1])
