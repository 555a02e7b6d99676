"""The text of a web page in its order, without menus, footers, banners, scripts and what is hidden."""

import codecs
import re

from lxml import etree, html

from lmcore.text.documents.document import InputError
from lmcore.text.sources.extractors.boilerplate import WORD, hidden_parts, parts_around_the_text
from lmcore.text.sources.extractors.page_lines import PageLines
from lmcore.text.sources.files.encodings import HEAD_BYTES, Encoding, detect, wide_encoding

# As far as a browser looks for it: https://html.spec.whatwg.org/multipage/parsing.html (section 13.2.3.2).
DECLARATION_BYTES = 1024
DECLARATION = re.compile(
    rb"""<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_:.-]+)""", re.IGNORECASE
)
# Every browser reads these as the larger set that their pages are really in: https://encoding.spec.whatwg.org/
READ_AS = {"ascii": "cp1252", "iso8859-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030"}

UNKNOWN = "unknown"
DETECTION_BYTES = 2**16
SEVEN_BITS = ("iso2022_", "hz")
"""How the names of encodings begin whose bytes are UTF-8 as well, of other characters.

Where their marks stand, the declaration is believed first.
"""
ESCAPES = re.compile(rb"\x1b[$(]|~\{")
WIDE_ESCAPE = b"\x1b$"
MAX_SHARE_OF_ZEROS = 0.01
"""Of the characters of a page: a few are slips, more of them are the half of wider characters."""

NO_FRAMES = re.compile(r"</?noframes\b[^<>]*>", re.IGNORECASE)
"""What is in there would not be parsed, but taken as one text."""

XHTML = re.compile(r"^\s*<\?xml|<html\b[^<>]*\sxmlns\s*=", re.IGNORECASE)
XHTML_HEAD = 2_000
CLOSED_AT_ONCE = re.compile(
    r"<(?!(?:area|base|br|col|embed|frame|hr|img|input|link|meta|param|source|track|wbr)\b)([A-Za-z][\w:-]*)([^<>]*)/>"
)
"""In XML the end of the element as well, in HTML nothing: an empty title would swallow the page."""


def main_text(page: bytes) -> str:
    """The text that a page is about: all of it, in its order, with a line for each item, row and line of code.

    Left out are menus, headers and footers of the page, what stands beside the text, banners, dialogs, scripts and what
    is hidden, as far as elements, roles, class names and links tell; a page of nothing else, but for a title, gives all
    that is visible: :mod:`lmcore.text.sources.extractors.boilerplate`. What is plainly UTF-16, UTF-32 or ISO-2022-JP is
    read so, whatever it declares. Another page is in UTF-8, or in the encoding that it declares in its first
    :data:`DECLARATION_BYTES` bytes, or in the one that is detected where it declares none.

    Raises:
        InputError: ``not_unicode``, if it is in none of them; ``not_text``, if it is full of zeros;
            ``malformed_html``, if nothing can be made of it; ``frameset``, if its text lies in other files.
    """
    document = parse_page(_decoded(page))
    if document is None:
        return ""
    text = visible_text(document, parts_around_the_text(document))
    titles = " ".join("".join(title.itertext()) for title in document.iter("h1"))
    if len(WORD.findall(text)) <= len(WORD.findall(titles)):
        text = visible_text(document, hidden_parts(document))
    if not text and (frames := [frame.get("src", "") for frame in document.iter("frame")]):
        raise InputError("frameset", f"it has only frames; its text is in {', '.join(frames)}: read those files")
    return text


def parse_page(page: str) -> html.HtmlElement | None:
    """The elements of a page, however broken it is; ``None`` if there are none.

    Raises:
        InputError: ``malformed_html``, if nothing can be made of it.
    """
    # In bytes, or a page that declares its encoding in XML would be refused.
    page = NO_FRAMES.sub("", page.replace("\0", ""))
    if XHTML.search(page[:XHTML_HEAD]):
        page = CLOSED_AT_ONCE.sub(r"<\1\2></\1>", page)
    content = page.encode(errors="replace")
    parser = html.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        document = html.document_fromstring(content, parser=parser) if content.strip() else None
    except etree.ParserError:
        return None  # There is no element in it.
    if any(error.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for error in parser.error_log):
        raise InputError("malformed_html", "its elements are nested too deeply: close unclosed elements")
    return document


def visible_text(document: html.HtmlElement, skipped: frozenset[html.HtmlElement]) -> str:
    """What a reader sees of an element and those in it, without those that are skipped."""
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
    text = _narrow_text(page) if plain is None else _strictly(page, plain)
    if text.count("\0") > MAX_SHARE_OF_ZEROS * len(text):
        raise InputError("not_text", "it contains many zero bytes; name the encoding in the reader's `encoding`")
    return text


def _narrow_text(page: bytes) -> str:
    """The text of a page whose characters of ASCII are a byte each."""
    declaration = DECLARATION.search(page[:DECLARATION_BYTES])
    declared = "" if declaration is None else declaration[1].decode()
    encoding = _known(declared)
    try:
        if encoding.startswith(SEVEN_BITS) and ESCAPES.search(page):
            return page.decode(encoding)
        if (place := page.find(WIDE_ESCAPE)) >= 0 and page.isascii():
            return _strictly(page, detect(page[place : place + DETECTION_BYTES]))
        return page.decode()
    except UnicodeDecodeError as error:
        found = detect(page[error.start : error.start + DETECTION_BYTES]) if not declared else None
        try:
            return page.decode(READ_AS.get(encoding, encoding) if found is None else found.codec)
        except (LookupError, UnicodeError):
            detail = f"byte {error.start + 1} is not UTF-8: {error.reason}; declared is {declared or 'nothing else'}"
            raise InputError("not_unicode", f"{detail}; name the encoding in the reader's `encoding`") from None


def _strictly(page: bytes, encoding: Encoding | None) -> str:
    """The text of a page that can be in no encoding but this one.

    Raises:
        InputError: ``not_unicode``, if it is not.
    """
    try:
        if encoding is not None:
            return page.decode(encoding.codec)
        detail = "it has the escapes of ISO-2022, but is not ISO-2022-JP"
    except UnicodeDecodeError as error:
        detail = f"byte {error.start + 1} is not {encoding}: {error.reason}"
    raise InputError("not_unicode", f"{detail}; name the encoding in the reader's `encoding`")


def _known(encoding: str) -> str:
    """The one name of an encoding of text, or :data:`UNKNOWN`."""
    try:
        found = codecs.lookup(encoding)
    except LookupError:
        return UNKNOWN
    return found.name if found._is_text_encoding else UNKNOWN
