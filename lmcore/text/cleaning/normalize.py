"""Normalizes texts: Unicode, control characters, white space."""

import re
import unicodedata

import ftfy

# Form feeds, line ends in cells and record separators end a line, too.
OTHER_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x1c-\x1e]")
# A character printed over another one, as in manual pages.
OVERPRINTED = re.compile(r"[^\n\x08]\x08(?=[^\s\x08])")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2060\ufeff]")
SPACES = re.compile(r"[^\S\n\t ]")
BLANK_LINES = re.compile(r"\n{3,}")
# Everything that ftfy repairs in ASCII: HTML entities, terminal escapes, line ends and other control characters.
REPAIRABLE_IN_ASCII = re.compile(r"&#?[0-9A-Za-z]{1,24};|[\x00-\x08\x0b-\x1f\x7f]")

REPAIRS = ftfy.TextFixerConfig(uncurl_quotes=False, fix_character_width=False, normalization="NFC", explain=False)
# After the first tag of a text, HTML entities are left alone, as in ftfy.
REPAIRS_IN_MARKUP = REPAIRS._replace(unescape_html=False)
LINE = re.compile(r"[^\n]*\n|[^\n]+")
# Full-width letters and digits and half-width Japanese, whose width is typography; not the punctuation of Chinese and
# Japanese.
OTHER_WIDTH = re.compile(r"[\uff01-\uffef](?<![\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f\uff5e])")


def normalize(text: str) -> str:
    """Repair and normalize a text.

    Mojibake, HTML entities and look-alike characters are repaired (ftfy, https://ftfy.readthedocs.io), full-width
    letters and digits replaced by the usual ones, and characters composed (Unicode normalization form C). Line ends
    (form feeds included) and spaces are unified, other control characters removed, white space at the ends of lines
    stripped, and runs of blank lines reduced to one. Indentation and Chinese punctuation are kept.
    """
    if not text.isascii() or REPAIRABLE_IN_ASCII.search(text):
        text = OTHER_LINE_ENDS.sub("\n", text).replace("\x1f", " ")
        text = OVERPRINTED.sub("", text) if "\x08" in text else text
        text = OTHER_WIDTH.sub(lambda found: unicodedata.normalize("NFKC", found[0]), repair(text))
        text = unicodedata.normalize("NFC", text)
        text = SPACES.sub(" ", CONTROLS.sub("", text))
    lines = "\n".join(map(str.rstrip, text.split("\n")))
    return BLANK_LINES.sub("\n\n", lines).strip("\n")


def repair(text: str) -> str:
    """The same result as ``ftfy.fix_text``, but without calling it for lines that need no repair."""
    lines, repairs = [], REPAIRS
    for line in LINE.findall(text):
        if "<" in line:
            repairs = REPAIRS_IN_MARKUP
        is_sound = line.isascii() and not REPAIRABLE_IN_ASCII.search(line)
        lines.append(line if is_sound else ftfy.fix_text(line, repairs))
    return "".join(lines)
