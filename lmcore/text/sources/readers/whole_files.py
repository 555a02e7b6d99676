"""Files that are one document each: plain text, Markdown, web pages, notebooks, books and office documents."""

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from lmcore.config.readers import WholeFiles
from lmcore.text.documents.document import Document, InputError, ReadError
from lmcore.text.sources.extractors.epub import epub_text
from lmcore.text.sources.extractors.html import main_text
from lmcore.text.sources.extractors.notebook import notebook_text
from lmcore.text.sources.extractors.office import docx_text, odt_text
from lmcore.text.sources.extractors.pdf import pdf_text
from lmcore.text.sources.extractors.unsupported import refuse_unsupported_formats
from lmcore.text.sources.input_files.compression import COMPRESSIONS
from lmcore.text.sources.input_files.encodings import not_unicode
from lmcore.text.sources.input_files.input_file import InputFile
from lmcore.text.sources.readers.division import Parts, divide_text, segments_of_file, segments_of_text

BINARY_FORMATS: dict[str, Callable[[InputFile], str]] = {
    ".docx": docx_text,
    ".docm": docx_text,
    ".epub": epub_text,
    ".odt": odt_text,
    ".pdf": pdf_text,
}
"""Binary formats by their extensions."""
PAGE_EXTENSIONS = frozenset({".htm", ".html", ".shtml", ".xht", ".xhtml"})
BEGINS_PAGE = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)
NOTEBOOK = ".ipynb"
PLAIN_EXTENSIONS = frozenset({"", ".txt", ".asp", ".aspx", ".cgi", ".jsp", ".php"})
"""Extensions of files that may be web pages, too."""


def read_whole_file(file: InputFile, reader: WholeFiles) -> Iterator[Document | ReadError]:
    """Yield the file as one document, or its parts; lines end with ``\\n``.

    Raises:
        InputError: if it cannot be read, has an unsupported format, or has more than ``max_bytes``.
    """
    with file.open() as stream:
        head = stream.peek()
    refuse_unsupported_formats(file.format, head)
    is_page = file.format in PAGE_EXTENSIONS or (
        file.format in PLAIN_EXTENSIONS and BEGINS_PAGE.match(head) is not None
    )
    division = reader.divide
    if division is not None and not (is_page or file.format in (NOTEBOOK, *BINARY_FORMATS)):
        yield from _parts(file, divide_text(segments_of_file(file), division, file.max_bytes))
        return
    text = BINARY_FORMATS[file.format](file) if file.format in BINARY_FORMATS else _text(file, is_page)
    if division is None:
        yield file.document(text, kind="file", line=None, label=file.folder, name=_stem(file.path))
    else:
        yield from _parts(file, divide_text(segments_of_text(text), division, file.max_bytes), has_lines=False)


def _parts(file: InputFile, parts: Parts, *, has_lines: bool = True) -> Iterator[Document | ReadError]:
    """Yield a document for each part, named ``FILE#1``, ``FILE#2`` and so on."""
    name, number = _stem(file.path), 0
    for part in parts:
        if isinstance(part, InputError):
            yield file.read_error(part)
            continue
        number += 1
        line = part.line if has_lines else None
        yield file.document(part.text, kind="part", line=line, label=file.folder, name=f"{name}#{number}")
    if not number:
        raise InputError("empty_text", "there is no text")


def _text(file: InputFile, is_page: bool) -> str:
    with file.open_text(detects=not is_page) as stream:
        content = stream.read(file.max_bytes + 1)
    if len(content) > file.max_bytes:
        error = file.too_long("the file")
        if is_page or file.format == NOTEBOOK:
            raise error
        raise InputError(error.reason, f"{error.detail}: divide it into documents with `divide` in its reader")
    if is_page:
        return main_text(content)
    return notebook_text(content) if file.format == NOTEBOOK else _plain_text(content)


def _plain_text(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise not_unicode(error, content.count(b"\n", 0, error.start) + 1) from error
    if "\0" in text:
        raise InputError("not_text", "it contains zero bytes: it is in a binary format")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _stem(path: str) -> str:
    name = PurePosixPath(path)
    return PurePosixPath(name.stem).stem if name.suffix.lower() in COMPRESSIONS else name.stem
