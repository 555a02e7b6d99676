"""Boilerplate of a web page: menus, footers, banners, advertisements and hidden elements.

It is recognized by elements and roles, and by class names and ids as long as what they mark is the smaller part of the
page or consists mostly of links. In case of doubt, text is kept.
"""

import re
from collections.abc import Iterator

from lxml.html import HtmlElement

from lmcore.text.sources.extractors.page_lines import tags

INVISIBLE = tags(
    "annotation annotation-xml applet audio canvas datalist dialog head iframe map noscript object script style svg "
    "template video"
)
ARTICLES = frozenset({"article", "main"})
BOILERPLATE = frozenset({"nav", "search"})
BOILERPLATE_OUTSIDE_ARTICLES = frozenset({"aside", "footer", "header"})
"""Boilerplate unless they are in an article or a quotation."""
ROLES = tags("alertdialog banner complementary contentinfo dialog menu menubar navigation search toolbar")
NAMES = tags(
    "ad ads advert advertisement advertisements banner breadcrumb breadcrumbs comments consent cookie cookies gdpr "
    "menu menubar modal nav navbar navigation newsletter pager paginate pagination popup related share sharing skip "
    "social toolbar"
)
BOILERPLATE_NAME = re.compile(
    r"(?:app|blog|doc|docs|global|layout|main|nav|page|site|sphinx|top|wiki)?[-_]*"
    r"(?:aside|footer|header|masthead|sidebar|topbar)"
    r"[-_]*(?:area|bottom|container|content|inner|left|primary|right|secondary|top|widget|widgets|wrap|wrapper)?$",
    re.IGNORECASE,
)
"""Names of headers and footers of the page, not of a section or a card."""
NAMED = tags("a aside div form ol p section table ul")
"""Elements whose class and id count: those of other elements mark words and lines of code."""
LINK_LISTS = tags("center div ol p table tr td ul")
HEADINGS = ("h2", "h3", "h4", "h5", "h6")
HOLDS_BUTTONS = ("form", "h1", *HEADINGS, "summary", "dt")

WORD = re.compile(r"\w+")
NAME_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)

MAX_NAMED_RATIO = 0.5
MIN_LINKED_RATIO_OF_NAMED = 0.5
MIN_MAIN_RATIO = 0.5
MIN_LINKED_RATIO = 0.9
MIN_LINKS = 3
MAX_WORDS_PER_LINK = 4
PROSE_WORDS = 10
MAX_LINK_LISTS_RATIO = 0.5


class _Page:
    """For each element, the numbers of visible words, of words in links, and of links; and the title's elements."""

    def __init__(self, document: HtmlElement) -> None:
        self.document = document
        titles = list(document.iter("h1"))
        self.holds_title = {titles[0], *titles[0].iterancestors()} if len(titles) == 1 else set()
        """The only title and the elements that contain it."""
        self.words: dict[HtmlElement, int] = {}
        self.linked: dict[HtmlElement, int] = {}
        self.links: dict[HtmlElement, int] = {}
        for element in reversed(list(document.iter())):
            is_visible, is_link = not _is_hidden(element), element.tag == "a" and element.get("href") is not None
            children = list(element)
            direct = _n_words(element.text) + sum(_n_words(child.tail) for child in children)
            words = direct + sum(self.words[child] for child in children)
            linked = words if is_link else sum(self.linked[child] for child in children)
            self.words[element] = words * is_visible
            self.linked[element] = linked * is_visible
            self.links[element] = (is_link + sum(self.links[child] for child in children)) * is_visible


def boilerplate(document: HtmlElement) -> frozenset[HtmlElement]:
    """The elements of a page that are not part of its text, including hidden ones."""
    page = _Page(document)
    skipped = {element for element in document.iter() if _is_hidden(element) or _is_boilerplate(element, page)}
    skipped.update(_boilerplate_by_name(page))
    skipped.update(_outside_of_main(page, skipped))
    link_lists = list(_leading_link_lists(page, skipped))
    n_kept = page.words[document] - sum(page.words[element] for element in _outermost(skipped, document))
    if sum(page.words[element] for element in link_lists) <= MAX_LINK_LISTS_RATIO * n_kept:
        skipped.update(link_lists)
    return frozenset(skipped)


def hidden_elements(document: HtmlElement) -> frozenset[HtmlElement]:
    """The elements of a page that are not displayed."""
    return frozenset(element for element in document.iter() if _is_hidden(element))


def _is_hidden(element: HtmlElement) -> bool:
    """Whether an element is hidden, as far as the HTML itself says so."""
    return (
        element.tag in INVISIBLE
        or element.get("hidden") is not None
        or element.get("aria-hidden") == "true"
        or (element.get("style") is not None and HIDING.search(element.get("style")) is not None)
    )


def _is_boilerplate(element: HtmlElement, page: _Page) -> bool:
    tag = element.tag
    if tag in BOILERPLATE or element.get("role") in ROLES:
        return True
    if tag == "button":
        return not _is_in(element, *HOLDS_BUTTONS)
    if element in page.holds_title:
        return False
    return tag in BOILERPLATE_OUTSIDE_ARTICLES and not _is_in(element, *ARTICLES, "blockquote")


def _boilerplate_by_name(page: _Page) -> Iterator[HtmlElement]:
    """Elements with revealing class names or ids, unless they are most of the page: a menu may be a restaurant's."""
    named = {
        element for element in page.document.iter(*NAMED) if element not in page.holds_title and _is_named(element)
    }
    linked = {element for element in named if page.linked[element] >= MIN_LINKED_RATIO_OF_NAMED * page.words[element]}
    others = list(_outermost(named - linked, page.document))
    yield from linked
    small = [element for element in others if page.words[element] <= MAX_NAMED_RATIO * page.words[page.document]]
    if sum(page.words[element] for element in small) <= MAX_NAMED_RATIO * page.words[page.document]:
        yield from small


def _is_named(element: HtmlElement) -> bool:
    """Whether an element's class or id marks boilerplate."""
    names = f"{element.get('class', '')} {element.get('id', '')}"
    if names == " ":
        return False
    if not NAMES.isdisjoint(part.lower() for part in NAME_PART.findall(names)):
        return True
    return any(map(BOILERPLATE_NAME.match, names.split())) and not _is_in(element, *ARTICLES)


def _outside_of_main(page: _Page, skipped: set[HtmlElement]) -> Iterator[HtmlElement]:
    """Elements outside the main part, except the title, if there is one main part that contains most of the text."""
    mains = [element for element in page.document.iter() if element.tag == "main" or element.get("role") == "main"]
    if len(mains) != 1:
        return
    (main,) = mains
    path = [main, *main.iterancestors()]
    outside = [
        sibling
        for element in path[:-1]
        for sibling in element.getparent()
        if sibling is not element and sibling not in page.holds_title
    ]
    n_outside = sum(page.words[element] for element in outside if element not in skipped)
    if page.words[main] >= MIN_MAIN_RATIO * (page.words[main] + n_outside):
        yield from outside


def _leading_link_lists(page: _Page, skipped: set[HtmlElement]) -> Iterator[HtmlElement]:
    """Blocks of short links to other pages before the first prose: menus without a revealing name."""
    entered = set(skipped)
    for element in page.document.iter():
        if element in skipped or element.getparent() in entered:
            entered.add(element)
        elif element.tag in HEADINGS or element.tag in ARTICLES or _n_direct_words(element) >= PROSE_WORDS:
            return
        elif element.tag in LINK_LISTS and _is_link_list(element, page):
            entered.add(element)
            yield element


def _is_link_list(element: HtmlElement, page: _Page) -> bool:
    n_words, n_links, n_linked = page.words[element], page.links[element], page.linked[element]
    return (
        n_links >= MIN_LINKS
        and n_linked >= MIN_LINKED_RATIO * n_words
        and n_linked <= MAX_WORDS_PER_LINK * n_links
        and not any(link.get("href", "").startswith("#") for link in element.iter("a"))
    )


def _outermost(elements: set[HtmlElement], document: HtmlElement) -> Iterator[HtmlElement]:
    """The elements that are not inside another one."""
    within: set[HtmlElement] = set()
    for element in document.iter():
        if element.getparent() in within:
            within.add(element)
        elif element in elements:
            within.add(element)
            yield element


def _is_in(element: HtmlElement, *tags: str) -> bool:
    return next(element.iterancestors(*tags), None) is not None


def _n_direct_words(element: HtmlElement) -> int:
    return _n_words(element.text) + sum(_n_words(child.tail) for child in element)


def _n_words(text: str | None) -> int:
    return 0 if text is None else sum(1 for _ in WORD.finditer(text))
