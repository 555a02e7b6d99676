"""Words of any language, quickly: what rules count, before spaCy reads what is left."""

import re

# Scripts that put no space between words: Chinese, Japanese and Thai characters each count as one.
UNSPACED = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")


def words_of(text: str) -> list[str]:
    """What white space separates; a character of a script without spaces between words is a word of its own."""
    return text.split() if text.isascii() else WORD.findall(text)
