"""Documents that are ZIP archives of XML: their parts, read with a size limit and without external entities."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO

from lxml import etree

from lmcore.text.documents.document import InputError
from lmcore.text.sources.files.byte_streams import BUFFER_BYTES
from lmcore.text.sources.files.input_file import InputFile

FORMATS = ".docx or .odt"
OLD_OFFICE = b"\xd0\xcf\x11\xe0"
DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError, ValueError, OSError)
ENCRYPTED = "it is encrypted: save it without a password"


class Target:
    """Takes the elements of XML one after the other; see :class:`lxml.etree.XMLParser`."""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""

    def end(self, tag: str) -> None:
        """End an element."""

    def data(self, text: str) -> None:
        """Take text, or a part of it."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        """Refuse a declaration of types: office programs write none, and it may define text without end."""
        raise InputError("malformed_xml", f"it declares a document type, {name}, which no {FORMATS} file does")

    def close(self) -> None:
        """End the document."""


class Parts:
    """The parts of a packed document."""

    def __init__(self, archive: zipfile.ZipFile, file: InputFile) -> None:
        self._archive = archive
        self._file = file

    def __contains__(self, name: str) -> bool:
        return name in self._archive.NameToInfo

    def content(self, name: str, max_bytes: int) -> bytes:
        """A part as a whole.

        Raises:
            InputError: ``too_long``, ``encrypted``, ``unpacks_too_large``.
        """
        with self._open(name) as stream:
            content = stream.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise self._file.too_long(f"its part {name}")
        return content

    def walk(self, name: str, target: Target) -> None:
        """Give the elements and the text of a part to a target, in their order; nothing of them is kept.

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
        # No more than this is unpacked, whatever the archive holds.
        self._file.budget.spend(info.file_size)
        with self._archive.open(info) as stream:
            yield stream


@contextmanager
def packed_document(file: InputFile) -> Iterator[Parts]:
    """The parts of a document.

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
        except DAMAGES as error:
            what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise InputError("damaged_file", f"it is not a {file.format} file: {what}") from error
