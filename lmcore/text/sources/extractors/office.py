"""The text of office documents: Office Open XML (.docx) and OpenDocument (.odt).

Paragraphs, lists, tables and notes are extracted in order; deleted text, comments, headers, footers and macros are not.

Sources: ECMA-376, https://ecma-international.org/publications-and-standards/standards/ecma-376 (part 1, section 17);
OASIS OpenDocument 1.3, https://docs.oasis-open.org/office/OpenDocument/v1.3 (part 3)
"""

from collections.abc import Mapping

from lmcore.text.sources.extractors.page_lines import PageLines
from lmcore.text.sources.extractors.zipped_xml import Target, open_parts
from lmcore.text.sources.input_files.input_file import InputFile

WORD_PARTS = ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml")
LIST_STYLE = "List"
MOST_SPACES = 100


class _Text:
    """Builds the lines of a document. A paragraph starts with its first text: only then is it known to be an item."""

    def __init__(self, file: InputFile) -> None:
        self.lines = PageLines()
        self.is_item = False
        self._file = file
        self._n_characters = 0
        self._n_cells = 0
        self._open: list[str] = []

    def add(self, text: str | None) -> None:
        """Add text unchanged."""
        if not text:
            return
        if not self._open:
            self._open = ["li", "textarea"] if self.is_item else ["textarea"] if self._n_cells else ["pre"]
            for tag in self._open:
                self.lines.start(tag)
        self.lines.add(text)
        self._n_characters += len(text)
        if self._n_characters > self._file.max_bytes:
            raise self._file.too_long("the text")

    def end_paragraph(self) -> None:
        """End a paragraph; paragraphs in a table cell are separated by spaces."""
        for tag in reversed(self._open):
            self.lines.end(tag)
        if self._n_cells:
            self.lines.start("input")
        self._open, self.is_item = [], False

    def table(self, event: str, tag: str) -> None:
        """Start or end a ``table``, a row ``tr`` or a cell ``td``."""
        self._n_cells += (tag == "td") * (1 if event == "start" else -1)
        (self.lines.start if event == "start" else self.lines.end)(tag)


class _Office(Target):
    """What both formats share; the names of elements are unique without their namespaces."""

    skipped: frozenset[str]
    tables: Mapping[str, str]

    def __init__(self, text: _Text) -> None:
        self.text = text
        self.n_skipped = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        tag = _local(tag)
        self.n_skipped += tag in self.skipped
        if self.n_skipped:
            return
        if tag in self.tables:
            self.text.table("start", self.tables[tag])
        self.begin(tag, {_local(name): value for name, value in attributes.items()})

    def end(self, tag: str) -> None:
        tag = _local(tag)
        if not self.n_skipped:
            self.finish(tag)
            if tag in self.tables:
                self.text.table("end", self.tables[tag])
        self.n_skipped -= tag in self.skipped

    def begin(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Start an element that is not skipped."""

    def finish(self, tag: str) -> None:
        """End an element that is not skipped."""


class _Word(_Office):
    # Deleted and moved text, and copies for older programs.
    skipped = frozenset({"del", "moveFrom", "Fallback", "pict"})
    tables: Mapping[str, str] = {"tbl": "table", "tr": "tr", "tc": "td"}
    characters: Mapping[str, str] = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}

    def __init__(self, text: _Text) -> None:
        super().__init__(text)
        self.is_text = self.is_run = False

    def begin(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "r":
            self.is_run = True
        elif tag == "t":
            self.is_text = True
        elif tag in self.characters and self.is_run:
            self.text.add(self.characters[tag])
        elif tag == "numPr" or (tag == "pStyle" and attributes.get("val", "").startswith(LIST_STYLE)):
            self.text.is_item = True

    def finish(self, tag: str) -> None:
        if tag == "p":
            self.text.end_paragraph()
        elif tag == "r":
            self.is_run = False
        elif tag == "t":
            self.is_text = False

    def data(self, text: str) -> None:
        if self.is_text and not self.n_skipped:
            self.text.add(text)


class _OpenDocument(_Office):
    skipped = frozenset({"tracked-changes", "annotation", "note-citation", "desc", "title"})
    tables: Mapping[str, str] = {"table": "table", "table-row": "tr", "table-cell": "td"}

    def __init__(self, text: _Text) -> None:
        super().__init__(text)
        self.n_paragraphs = self.n_items = 0

    def begin(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "list-item":
            self.n_items += 1
        elif tag in ("p", "h"):
            self.n_paragraphs += 1
            self.text.is_item = self.n_items > 0
        elif tag in ("tab", "line-break"):
            self.text.add({"tab": "\t", "line-break": "\n"}[tag])
        elif tag == "s":
            n_spaces = attributes.get("c", "1")
            self.text.add(" " * min(int(n_spaces) if n_spaces.isdecimal() else 1, MOST_SPACES))

    def finish(self, tag: str) -> None:
        if tag == "list-item":
            self.n_items -= 1
        elif tag in ("p", "h"):
            self.n_paragraphs -= 1
            self.text.end_paragraph()

    def data(self, text: str) -> None:
        if self.n_paragraphs and not self.n_skipped:
            self.text.add(text)


def docx_text(file: InputFile) -> str:
    """Extract the text of a .docx file.

    Raises:
        InputError: if it cannot be read or has more than ``max_bytes``.
    """
    text = _Text(file)
    with open_parts(file) as parts:
        for name in WORD_PARTS:
            if name in parts or name == WORD_PARTS[0]:
                parts.walk(name, _Word(text))
    return text.lines.text()


def odt_text(file: InputFile) -> str:
    """Extract the text of an .odt file.

    Raises:
        InputError: as :func:`docx_text`.
    """
    text = _Text(file)
    with open_parts(file) as parts:
        parts.walk("content.xml", _OpenDocument(text))
    return text.lines.text()


def _local(name: str) -> str:
    return name.rpartition("}")[2]
