"""The text of HTML elements as lines, as a browser would display them."""

import re


def tags(names: str) -> frozenset[str]:
    """The set of names in a string."""
    return frozenset(names.split())


NEW_LINE, BLANK_LINE = 1, 2
PARAGRAPHS = tags(
    "address article aside blockquote center dir div dl fieldset figure footer form h1 h2 h3 h4 h5 h6 header hgroup "
    "hr listing main menu nav ol p plaintext pre search section table ul xmp"
)
"""Elements separated by blank lines, except in lists, tables and definitions."""
LINES = tags(
    "body caption dd details dialog dt figcaption frameset html legend li noframes optgroup option select summary "
    "tbody tfoot thead tr"
)
LISTS = frozenset({"dir", "menu", "ol", "ul"})
TIGHT = LISTS | {"dl", "table"}
CELLS = frozenset({"td", "th"})
SPACED = frozenset({"button", "img", "input", "label"})
PREFORMATTED = frozenset({"listing", "plaintext", "pre", "textarea", "xmp"})
# A no-break space is not white space here: https://infra.spec.whatwg.org/#ascii-whitespace
SPACES = re.compile(r"[ \t\n\f\r]+")
ITEM, INDENT, CELL = "- ", "  ", " | "
MAX_INDENTS = 20


class PageLines:
    """Builds the lines of a page from its elements and their text, which are given in order."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._n_lists = self._n_tight = self._n_preformatted = 0
        self._n_breaks = 0
        """The number of line ends before the next text."""
        self._before = ""
        """What else precedes the next text: a space, a list marker or a cell border."""

    def start(self, tag: str) -> None:
        """Start an element."""
        if tag == "br":
            self._break(min(self._n_breaks + NEW_LINE, BLANK_LINE))
        self._break_around(tag)
        self._n_lists += tag in LISTS
        self._n_tight += tag in TIGHT
        self._n_preformatted += tag in PREFORMATTED
        if tag == "li":
            self._before = INDENT * min(self._n_lists - 1, MAX_INDENTS) + ITEM
        elif tag in CELLS and not self._n_breaks:
            self._before = CELL

    def end(self, tag: str) -> None:
        """End an element."""
        self._n_lists -= tag in LISTS
        self._n_tight -= tag in TIGHT
        self._n_preformatted -= tag in PREFORMATTED
        if tag == "li":
            self._before = ""
        self._break_around(tag)

    def add(self, text: str | None) -> None:
        """Add text inside the element that was started last, or after the one that was ended last."""
        if not text:
            return
        if self._n_preformatted:
            self._add(text.replace("\r\n", "\n").replace("\r", "\n"))
            return
        text = SPACES.sub(" ", text)
        if text.startswith(" "):
            self._space()
        if words := text.strip(" "):
            self._add(words)
            if text.endswith(" "):
                self._space()

    def text(self) -> str:
        """All lines, without trailing spaces and with at most one blank line between paragraphs."""
        return "\n".join(line.rstrip(" \t") for line in "".join(self._parts).split("\n")).strip("\n")

    def _break_around(self, tag: str) -> None:
        if tag in PARAGRAPHS:
            self._break(NEW_LINE if self._n_tight else BLANK_LINE)
        elif tag in LINES:
            self._break(NEW_LINE)
        elif tag in SPACED:
            self._space()

    def _break(self, n_breaks: int) -> None:
        self._n_breaks = max(self._n_breaks, n_breaks)
        if not self._before.endswith(ITEM):
            self._before = ""

    def _space(self) -> None:
        if not self._before and not self._n_breaks:
            self._before = " "

    def _add(self, text: str) -> None:
        if self._n_breaks and self._parts:
            self._parts[-1] = self._parts[-1].rstrip("\n")
            self._parts.append("\n" * self._n_breaks)
            text = text.removeprefix("\n")
        self._parts.extend((self._before, text))
        self._n_breaks, self._before = 0, ""
