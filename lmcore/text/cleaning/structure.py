"""Formatting in a text: list markers, times, horizontal rules, headings, addresses."""

import re

BULLETS = "-*•‣▪◦·\u2013\u2014"
BULLET = re.compile(rf"[{BULLETS}]\s+")
FEWEST_WORDS_OF_AN_ITEM = 3
"""Items of lists with so many words say something; names and links of a menu have fewer."""
# Behind a letter: elsewhere, as in programs and formulas, it stands for what is left out.
ELLIPSIS = re.compile(r"(?<=[^\W\d_])(?:\.{3,}|…)")
CONTINUATION = re.compile(r"\.\.\.|>>>")
"""How a Python session goes on."""
SENTENCE_ENDS = (
    ".",
    "!",
    "?",
    ":",
    '"',
    "'",
    ")",
    "\u201d",
    "\u2019",
    "\u2026",
    "\u3002",
    "\uff01",
    "\uff1f",
    "\u300d",
    "\u0964",
    "\u061f",
    "\u06d4",
)
# At the beginning of a line: bullets, numbers of a list, a table's border, when something was said. No row of numbers.
MARKERS = re.compile(rf"(?m)^[ \t]*(?:[{BULLETS}>|#]+[ \t]+|[\[(]?\d[\d:./,TZ+-]*[\])]?[.:]?[ \t]+){{1,3}}")
RULES = re.compile(r"([-=~_*#.+^!/<>])\1{2,}|[|\u2500-\u257f]+")
"""What underlines and divides, and the borders of tables."""
# A hash sign that is neither a heading or comment at the beginning of a line, nor part of a hashtag, number or name.
LONE_HASH = re.compile(r"(?m)(?<![\w#])(?<!^)#+(?![\w#])")
HASH_AT_LINE_START = re.compile(r"(?m)^[ \t>]*#+")
PROMPT_AT_LINE_START = re.compile(r"(?m)^[ \t]*(?:>>>|\.\.\.)")


def without_structure(text: str) -> str:
    """A text without its formatting, to measure its share of letters."""
    return RULES.sub(" ", MARKERS.sub("", text))


def is_address(word: str) -> bool:
    """Whether a word is the address of a page, which is as long as it likes."""
    return "://" in word or "www." in word


def count_symbols(text: str) -> int:
    """Hash signs and ellipses that are no headings, comments, hashtags or prompts; a run of them counts once."""
    text = PROMPT_AT_LINE_START.sub("", HASH_AT_LINE_START.sub("", text))
    return len(LONE_HASH.findall(text)) + len(ELLIPSIS.findall(text))


def is_bare_item(line: str) -> bool:
    """Whether a line is an item of a list that is neither a sentence nor as long as one."""
    bullet = BULLET.match(line)
    if bullet is None or line.endswith(SENTENCE_ENDS):
        return False
    return len(line[bullet.end() :].split()) < FEWEST_WORDS_OF_AN_ITEM


def breaks_off(line: str) -> bool:
    """Whether a line ends with an ellipsis, and is no line of a Python session."""
    return line.endswith(("...", "…")) and not CONTINUATION.match(line)
