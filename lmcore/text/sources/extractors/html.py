"""The text of a web page, without menus, footers, banners, scripts and hidden elements."""

import codecs
import re

from lxml import etree, html

from lmcore.text.documents.document import InputError
from lmcore.text.sources.extractors.boilerplate import WORD, boilerplate, hidden_elements
from lmcore.text.sources.extractors.page_lines import PageLines
from lmcore.text.sources.input_files.encodings import HEAD_BYTES, Encoding, detect, wide_encoding

# Where browsers look for a declaration: https://html.spec.whatwg.org/multipage/parsing.html (section 13.2.3.2).
DECLARATION_BYTES = 1024
DECLARATION = re.compile(
    rb"""<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_:.-]+)""", re.IGNORECASE
)
# Browsers read these as the superset that such pages really use: https://encoding.spec.whatwg.org/
READ_AS = {"ascii": "cp1252", "iso8859-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030"}

UNKNOWN = "unknown"
DETECTION_BYTES = 2**16
SEVEN_BITS = ("iso2022_", "hz")
"""Prefixes of encodings whose bytes are also valid UTF-8. If a page has their escape sequences, its declaration counts
first."""
ESCAPES = re.compile(rb"\x1b[$(]|~\{")
WIDE_ESCAPE = b"\x1b$"
MAX_RATIO_OF_ZEROS = 0.01
"""The largest ratio of zeros in a page; with more, they are halves of wider characters."""

NO_FRAMES = re.compile(r"</?noframes\b[^<>]*>", re.IGNORECASE)
"""Its content would be read as text and not parsed."""

XHTML = re.compile(r"^\s*<\?xml|<html\b[^<>]*\sxmlns\s*=", re.IGNORECASE)
XHTML_HEAD = 2_000
CLOSED_AT_ONCE = re.compile(
    r"<(?!(?:area|base|br|col|embed|frame|hr|img|input|link|meta|param|source|track|wbr)\b)([A-Za-z][\w:-]*)([^<>]*)/>"
)
"""``<title/>`` is an empty element in XML; in HTML it is not closed and would contain the rest of the page."""


def main_text(page: bytes) -> str:
    """Extract the main text of a page, in order, with a line for each list item, table row and line of code.

    Menus, headers and footers of the page, sidebars, banners, dialogs, scripts and hidden elements are left out, as far
    as elements, roles, class names and links show them (:mod:`lmcore.text.sources.extractors.boilerplate`). If only a
    title remains, all visible text is extracted.

    Pages that are clearly UTF-16, UTF-32 or ISO-2022-JP are read as such, whatever they declare. Other pages are read
    as UTF-8, else in the encoding that they declare in their first :data:`DECLARATION_BYTES` bytes, else in the
    detected encoding.

    Raises:
        InputError: ``not_unicode`` if none of these encodings fits; ``not_text`` if it is full of zeros;
            ``malformed_html`` if it cannot be parsed; ``frameset`` if its text is in other files.
    """
    document = parse_page(_decoded(page))
    if document is None:
        return ""
    text = visible_text(document, boilerplate(document))
    titles = " ".join("".join(title.itertext()) for title in document.iter("h1"))
    if len(WORD.findall(text)) <= len(WORD.findall(titles)):
        text = visible_text(document, hidden_elements(document))
    if not text and (frames := [frame.get("src", "") for frame in document.iter("frame")]):
        raise InputError("frameset", f"it contains only frames; its text is in {', '.join(frames)}: read those files")
    return text


def parse_page(page: str) -> html.HtmlElement | None:
    """Parse a page, even if it is malformed; returns None if it has no elements.

    Raises:
        InputError: ``malformed_html`` if its elements are nested too deeply.
    """
    # Parsed from bytes: lxml refuses text with an XML declaration of an encoding.
    page = NO_FRAMES.sub("", page.replace("\0", ""))
    if XHTML.search(page[:XHTML_HEAD]):
        page = CLOSED_AT_ONCE.sub(r"<\1\2></\1>", page)
    content = page.encode(errors="replace")
    parser = html.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        document = html.document_fromstring(content, parser=parser) if content.strip() else None
    except etree.ParserError:
        return None  # It has no elements.
    if any(error.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for error in parser.error_log):
        raise InputError("malformed_html", "its elements are nested too deeply: close unclosed elements")
    return document


def visible_text(document: html.HtmlElement, skipped: frozenset[html.HtmlElement]) -> str:
    """The visible text of an element, without the elements in ``skipped``."""
    lines = PageLines()
    walk = etree.iterwalk(document, events=("start", "end"))
    for event, element in walk:
        if event == "start":
            if element in skipped:
                walk.skip_subtree()
            else:
                lines.start(element.tag)
                lines.add(element.text)
        else:
            if element not in skipped:
                lines.end(element.tag)
            if element is not document:
                lines.add(element.tail)
    return lines.text()


def _decoded(page: bytes) -> str:
    plain = wide_encoding(page[:HEAD_BYTES])
    text = _decoded_narrow(page) if plain is None else _decoded_strictly(page, plain)
    if text.count("\0") > MAX_RATIO_OF_ZEROS * len(text):
        raise InputError("not_text", "it contains many zero bytes; name the encoding in the reader's `encoding`")
    return text


def _decoded_narrow(page: bytes) -> str:
    """Decode a page in an encoding in which ASCII characters are single bytes."""
    declaration = DECLARATION.search(page[:DECLARATION_BYTES])
    declared = "" if declaration is None else declaration[1].decode()
    encoding = _known(declared)
    try:
        if encoding.startswith(SEVEN_BITS) and ESCAPES.search(page):
            return page.decode(encoding)
        if (start := page.find(WIDE_ESCAPE)) >= 0 and page.isascii():
            return _decoded_strictly(page, detect(page[start : start + DETECTION_BYTES]))
        return page.decode()
    except UnicodeDecodeError as error:
        found = detect(page[error.start : error.start + DETECTION_BYTES]) if not declared else None
        try:
            return page.decode(READ_AS.get(encoding, encoding) if found is None else found.codec)
        except (LookupError, UnicodeError):
            detail = (
                f"byte {error.start + 1} is not UTF-8: {error.reason}; the page declares {declared or 'no encoding'}"
            )
            raise InputError("not_unicode", f"{detail}; name the encoding in the reader's `encoding`") from None


def _decoded_strictly(page: bytes, encoding: Encoding | None) -> str:
    """Decode a page in the only possible encoding.

    Raises:
        InputError: ``not_unicode`` if that fails.
    """
    try:
        if encoding is not None:
            return page.decode(encoding.codec)
        detail = "it has ISO-2022 escape sequences, but is not ISO-2022-JP"
    except UnicodeDecodeError as error:
        detail = f"byte {error.start + 1} is not {encoding}: {error.reason}"
    raise InputError("not_unicode", f"{detail}; name the encoding in the reader's `encoding`")


def _known(encoding: str) -> str:
    """Python's name of a text encoding, or :data:`UNKNOWN`."""
    try:
        found = codecs.lookup(encoding)
    except LookupError:
        return UNKNOWN
    return found.name if found._is_text_encoding else UNKNOWN
