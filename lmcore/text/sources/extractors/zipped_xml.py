"""Documents that are ZIP archives of XML: their parts, read with a size limit and without external entities."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO

from lxml import etree

from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.byte_streams import BUFFER_BYTES
from lmcore.text.sources.input_files.input_file import InputFile

FORMATS = ".docx or .odt"
OLD_OFFICE = b"\xd0\xcf\x11\xe0"
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError, ValueError, OSError)
ENCRYPTED = "it is encrypted: save it without a password"


class Target:
    """Receives the elements of an XML document in order; see :class:`lxml.etree.XMLParser`."""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Start an element."""

    def end(self, tag: str) -> None:
        """End an element."""

    def data(self, text: str) -> None:
        """Receive text, or a part of it."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        """Refuse a document type declaration: office programs write none, and it may define entities that explode."""
        raise InputError("malformed_xml", f"it declares a document type, {name}, which no {FORMATS} file does")

    def close(self) -> None:
        """End the document."""


class Parts:
    """The parts of a document that is a ZIP archive."""

    def __init__(self, archive: zipfile.ZipFile, file: InputFile) -> None:
        self._archive = archive
        self._file = file

    def __contains__(self, name: str) -> bool:
        return name in self._archive.NameToInfo

    def content(self, name: str, max_bytes: int) -> bytes:
        """The content of a part.

        Raises:
            InputError: ``too_long``, ``encrypted``, ``unpacks_too_large``.
        """
        with self._open(name) as stream:
            content = stream.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise self._file.too_long(f"its part {name}")
        return content

    def walk(self, name: str, target: Target) -> None:
        """Pass the elements and the text of a part to a target in order; nothing is kept in memory.

        Raises:
            InputError: ``encrypted``, ``unpacks_too_large``, and what the target raises.
        """
        parser = etree.XMLParser(target=target, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
        with self._open(name) as stream:
            while chunk := stream.read(BUFFER_BYTES):
                parser.feed(chunk)
        parser.close()

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        info = self._archive.getinfo(name)
        if info.flag_bits & 1:
            raise InputError("encrypted", ENCRYPTED)
        # ZipFile unpacks no more than this, whatever the archive contains.
        self._file.budget.spend(info.file_size)
        with self._archive.open(info) as stream:
            yield stream


@contextmanager
def open_parts(file: InputFile) -> Iterator[Parts]:
    """Open a document.

    Raises:
        InputError: ``damaged_file``, ``encrypted``, and as :meth:`InputFile.open_seekable`.
    """
    with file.open_seekable() as stream:
        if stream.read(len(OLD_OFFICE)) == OLD_OFFICE:
            raise InputError("encrypted", f"{ENCRYPTED}; or it is in an older format: save it as {file.format}")
        try:
            with zipfile.ZipFile(stream) as archive:
                yield Parts(archive, file)
        except etree.XMLSyntaxError as error:
            raise InputError("damaged_file", error.msg or "it is not XML") from error
        except ZIP_ERRORS as error:
            what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise InputError("damaged_file", f"it is not a {file.format} file: {what}") from error
