"""The main text of a web page, without its menus, advertisements and footers."""

import codecs
import re

from lmcore.text.documents import InputError

# As far as a browser looks for it: https://html.spec.whatwg.org/multipage/parsing.html (section 13.2.3.2).
DECLARATION_BYTES = 1024
DECLARATION = re.compile(
    rb"""<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_:.-]+)""", re.IGNORECASE
)
# Every browser reads these as the larger set that their pages are really in: https://encoding.spec.whatwg.org/
READ_AS = {"ascii": "cp1252", "iso8859-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030"}


def main_text(page: bytes) -> str:
    """The text that a page is about, found by trafilatura; nothing if there is none.

    The page is in UTF-8, or in the encoding that it declares in its first :data:`DECLARATION_BYTES` bytes.

    Raises:
        InputError: ``not_unicode``, if it is in neither; ``malformed_html``, if nothing can be made of it.

    Source: Barbaresi 2021, https://aclanthology.org/2021.acl-demo.15
    """
    # Takes a quarter of a second to import, and brings a dozen packages that no other reader needs.
    import trafilatura

    try:
        return trafilatura.extract(_decoded(page), include_comments=False) or ""
    except RecursionError as error:
        raise InputError("malformed_html", "its elements are nested too deeply") from error


def _decoded(page: bytes) -> str:
    try:
        return page.decode()
    except UnicodeDecodeError as error:
        declaration = DECLARATION.search(page[:DECLARATION_BYTES])
        declared = "" if declaration is None else declaration[1].decode()
        try:
            encoding = codecs.lookup(declared).name
            return page.decode(READ_AS.get(encoding, encoding))
        except (LookupError, UnicodeError):
            detail = f"byte {error.start + 1} is not UTF-8: {error.reason}; declared is {declared or 'nothing else'}"
            raise InputError("not_unicode", detail) from None
