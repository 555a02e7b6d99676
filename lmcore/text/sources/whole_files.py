"""Files that are a document each: plain text, Markdown, web pages."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from lmcore.text.documents import Document, Fault
from lmcore.text.sources.encodings import not_unicode
from lmcore.text.sources.html import main_text
from lmcore.text.sources.opening import InputFile
from lmcore.text.sources.unpacking import COMPRESSIONS

PAGES = frozenset({".htm", ".html", ".xhtml"})


def read_whole_file(file: InputFile) -> Iterator[Document | Fault]:
    """Yield the file as one document, with ``\\\\n`` at the end of its lines; of a web page the main text.

    Raises:
        InputError: if it cannot be read, or has more than ``max_bytes``.
    """
    with file.open_text(detects=file.format not in PAGES) as stream:
        content = stream.read(file.max_bytes + 1)
    if len(content) > file.max_bytes:
        raise file.too_long("the file")
    text = main_text(content) if file.format in PAGES else _plain_text(content)
    yield file.document(text, kind="file", line=None, label=file.folder, name=_stem(file.path))


def _plain_text(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise not_unicode(error, content.count(b"\n", 0, error.start) + 1) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _stem(path: str) -> str:
    name = PurePosixPath(path)
    return PurePosixPath(name.stem).stem if name.suffix.lower() in COMPRESSIONS else name.stem
