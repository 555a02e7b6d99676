"""One form for texts that say the same: Unicode, control characters, white space."""

import re
import unicodedata

import ftfy

# Ends of pages, of lines in a cell, of records: what stands behind them is another line.
OTHER_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x1c-\x1e]")
# As typewriters did it and manual pages do: a character printed over another one.
OVERPRINTED = re.compile(r"[^\n\x08]\x08(?=[^\s\x08])")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2060\ufeff]")
SPACES = re.compile(r"[^\S\n\t ]")
BLANK_LINES = re.compile(r"\n{3,}")
# All that ftfy would repair in ASCII: HTML entities, terminal escapes, line ends and other control characters.
REPAIRABLE_IN_ASCII = re.compile(r"&#?[0-9A-Za-z]{1,24};|[\x00-\x08\x0b-\x1f\x7f]")

REPAIRS = ftfy.TextFixerConfig(uncurl_quotes=False, fix_character_width=False, normalization="NFC", explain=False)
# From the first tag of a text on, entities are meant as they stand.
REPAIRS_BESIDE_MARKUP = REPAIRS._replace(unescape_html=False)
LINE = re.compile(r"[^\n]*\n|[^\n]+")
# Letters and digits as wide as a Chinese character, Japanese ones that are half as wide: a matter of looks. Not so the
# punctuation of Chinese and Japanese.
OTHER_WIDTH = re.compile(r"[\uff01-\uffef](?<![\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f\uff5e])")


def normalize(text: str) -> str:
    """Repair and unify a text.

    Wrongly decoded text, HTML entities and look-alike characters are repaired (ftfy,
    https://ftfy.readthedocs.io), letters and digits given their common width, characters composed (Unicode
    normalization form C). Line ends, form feeds among them, and spaces become the plain ones; other control characters
    are removed. White space at the ends of lines goes, at most one blank line stays in a row. Indentation is kept, and
    the punctuation of Chinese.
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
    """What ``ftfy.fix_text`` makes of the text, line by line as it does, and without a look at lines in order."""
    lines, repairs = [], REPAIRS
    for line in LINE.findall(text):
        if "<" in line:
            repairs = REPAIRS_BESIDE_MARKUP
        is_in_order = line.isascii() and not REPAIRABLE_IN_ASCII.search(line)
        lines.append(line if is_in_order else ftfy.fix_text(line, repairs))
    return "".join(lines)
