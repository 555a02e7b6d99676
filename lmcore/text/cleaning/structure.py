"""Formatting in a text: list markers, timestamps, horizontal rules, headings, URLs."""

import re

BULLETS = "-*•‣▪◦·\u2013\u2014"
BULLET = re.compile(rf"[{BULLETS}]\s+")
MIN_ITEM_WORDS = 3
"""List items with this many words have content; names and menu links have fewer."""
# After a letter: elsewhere, as in programs and formulas, it marks an omission.
ELLIPSIS = re.compile(r"(?<=[^\W\d_])(?:\.{3,}|…)")
CONTINUATION = re.compile(r"\.\.\.|>>>")
"""The prompts of an interactive Python session."""
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
# At the start of a line: bullets, list numbers, table borders and timestamps, but not rows of numbers.
MARKERS = re.compile(rf"(?m)^[ \t]*(?:[{BULLETS}>|#]+[ \t]+|[\[(]?\d[\d:./,TZ+-]*[\])]?[.:]?[ \t]+){{1,3}}")
RULES = re.compile(r"([-=~_*#.+^!/<>])\1{2,}|[|\u2500-\u257f]+")
"""Horizontal rules, underlines and table borders."""
# A hash sign that is not a heading or comment at the start of a line, nor part of a hashtag, number or name.
LONE_HASH = re.compile(r"(?m)(?<![\w#])(?<!^)#+(?![\w#])")
HASH_AT_LINE_START = re.compile(r"(?m)^[ \t>]*#+")
PROMPT_AT_LINE_START = re.compile(r"(?m)^[ \t]*(?:>>>|\.\.\.)")


def without_structure(text: str) -> str:
    """The text without its formatting, for measuring its ratio of letters."""
    return RULES.sub(" ", MARKERS.sub("", text))


def is_url(word: str) -> bool:
    """Whether a word is a web address, which may be of any length."""
    return "://" in word or "www." in word


def count_symbols(text: str) -> int:
    """Count the hash signs and ellipses that are not headings, comments, hashtags or prompts; a run counts once."""
    text = PROMPT_AT_LINE_START.sub("", HASH_AT_LINE_START.sub("", text))
    return len(LONE_HASH.findall(text)) + len(ELLIPSIS.findall(text))


def is_short_item(line: str) -> bool:
    """Whether a line is a list item of fewer than three words that does not end like a sentence."""
    bullet = BULLET.match(line)
    if bullet is None or line.endswith(SENTENCE_ENDS):
        return False
    return len(line[bullet.end() :].split()) < MIN_ITEM_WORDS


def is_cut_off(line: str) -> bool:
    """Whether a line ends with an ellipsis, other than in an interactive Python session."""
    return line.endswith(("...", "…")) and not CONTINUATION.match(line)
