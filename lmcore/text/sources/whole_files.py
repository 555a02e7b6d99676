"""Files that are a document each: plain text, Markdown, web pages, notebooks, books and office documents."""

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from lmcore.text.documents import Document, Fault, InputError
from lmcore.text.sources.encodings import not_unicode
from lmcore.text.sources.formats.epub import epub_text
from lmcore.text.sources.formats.known import refuse_other_formats
from lmcore.text.sources.formats.notebook import notebook_text
from lmcore.text.sources.formats.office import docx_text, odt_text
from lmcore.text.sources.formats.pdf import pdf_text
from lmcore.text.sources.html import main_text
from lmcore.text.sources.opening import InputFile
from lmcore.text.sources.unpacking import COMPRESSIONS

PACKED: dict[str, Callable[[InputFile], str]] = {
    ".docx": docx_text,
    ".docm": docx_text,
    ".epub": epub_text,
    ".odt": odt_text,
    ".pdf": pdf_text,
}
"""By their endings, formats that are read as a whole."""
PAGES = frozenset({".htm", ".html", ".shtml", ".xht", ".xhtml"})
BEGINS_PAGE = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)
NOTEBOOK = ".ipynb"
PLAIN_ENDINGS = frozenset({"", ".txt", ".asp", ".aspx", ".cgi", ".jsp", ".php"})
"""Of files that may be web pages nevertheless."""


def read_whole_file(file: InputFile) -> Iterator[Document | Fault]:
    """Yield the file as one document: its text, with ``\\n`` at the end of its lines.

    Raises:
        InputError: if it cannot be read, is of a format that has no text here, or has more than ``max_bytes``.
    """
    with file.open() as stream:
        refuse_other_formats(file.format, stream.peek())
    text = PACKED[file.format](file) if file.format in PACKED else _text(file)
    yield file.document(text, kind="file", line=None, label=file.folder, name=_stem(file.path))


def _text(file: InputFile) -> str:
    is_page = file.format in PAGES or (file.format in PLAIN_ENDINGS and _begins_page(file))
    with file.open_text(detects=not is_page) as stream:
        content = stream.read(file.max_bytes + 1)
    if len(content) > file.max_bytes:
        raise file.too_long("the file")
    if is_page:
        return main_text(content)
    return notebook_text(content) if file.format == NOTEBOOK else _plain_text(content)


def _begins_page(file: InputFile) -> bool:
    with file.open() as stream:
        return BEGINS_PAGE.match(stream.peek()) is not None


def _plain_text(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise not_unicode(error, content.count(b"\n", 0, error.start) + 1) from error
    if "\0" in text:
        raise InputError("not_text", "it holds zeros: it is of some format that only a program reads")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _stem(path: str) -> str:
    name = PurePosixPath(path)
    return PurePosixPath(name.stem).stem if name.suffix.lower() in COMPRESSIONS else name.stem
