"""The text of EPUB books, page by page in reading order.

Source: https://www.w3.org/TR/epub-33 (sections 4.2 and 5)
"""

import posixpath
from urllib.parse import unquote

from lxml import etree

from lmcore.text.documents.document import InputError
from lmcore.text.sources.extractors.html import main_text
from lmcore.text.sources.extractors.zipped_xml import Parts, open_parts
from lmcore.text.sources.input_files.input_file import InputFile

CONTAINER, ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
MAX_PACKAGE_BYTES = 10_000_000
PAGES = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})


def epub_text(file: InputFile) -> str:
    """Extract the text of all pages, separated by blank lines; pages without text are skipped.

    Raises:
        InputError: if it cannot be read, or has more than ``max_bytes``.
    """
    texts: list[str] = []
    n_left = file.max_bytes
    with open_parts(file) as parts:
        protected = _protected(parts)
        for name in _pages(parts):
            if name in protected:
                raise InputError("encrypted", "it is protected by DRM")
            text = main_text(parts.content(name, file.max_bytes))
            n_left -= len(text)
            if n_left < 0:
                raise file.too_long("the text")
            texts.append(text)
    return "\n\n".join(filter(None, texts))


def _pages(parts: Parts) -> list[str]:
    """The names of the pages, in reading order."""
    package = next((found for found in _find(_parsed(parts, CONTAINER), "rootfile", "full-path")), None)
    if package is None:
        raise InputError("damaged_file", f"{CONTAINER} does not name a package")
    root = _parsed(parts, package)
    pages = {
        item.get("id"): posixpath.normpath(posixpath.join(posixpath.dirname(package), unquote(item.get("href", ""))))
        for item in root.iter("{*}item")
        if item.get("media-type") in PAGES
    }
    return [pages[page] for page in _find(root, "itemref", "idref") if page in pages]


def _protected(parts: Parts) -> frozenset[str]:
    if ENCRYPTION not in parts:
        return frozenset()
    return frozenset(map(unquote, _find(_parsed(parts, ENCRYPTION), "CipherReference", "URI")))


def _find(root: etree._Element, tag: str, attribute: str) -> list[str]:
    return [value for element in root.iter(f"{{*}}{tag}") if (value := element.get(attribute)) is not None]


def _parsed(parts: Parts, name: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)
    root = etree.fromstring(parts.content(name, MAX_PACKAGE_BYTES), parser)
    if root is None:
        raise InputError("damaged_file", f"{name} is not XML")
    return root
