"""Reconstructs text from lists of tokens, as far as possible."""

import re
from collections.abc import Sequence

AS_WRITTEN = {
    "-LRB-": "(",
    "-RRB-": ")",
    "-LSB-": "[",
    "-RSB-": "]",
    "-LCB-": "{",
    "-RCB-": "}",
    "``": "\u201c",
    "''": "\u201d",
}
"""Brackets and quotation marks of the Penn Treebank."""

CLOSING = re.compile(r"[,.;:!?%)\]}\u2026\u201d\u00bb]+|n['\u2019]t|['\u2019](?:s|re|ve|ll|d|m|t)?", re.IGNORECASE)
"""Tokens that are attached to the previous one."""
OPENING = re.compile(r"[(\[{$£€\u201c\u2018\u00ab¿¡]+")
"""Tokens that are attached to the next one."""
UNSPACED = re.compile("[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
"""Characters of scripts without spaces between words."""
GLUE = "@-@"
"""A hyphen within a word, in the notation of Moses."""


def joined_tokens(tokens: Sequence[str]) -> str:
    """Join tokens with the usual spaces between them.

    If one of them contains a space, they are not tokens but sentences or paragraphs: each becomes a line.
    """
    if any(" " in token.strip() or "\n" in token for token in tokens):
        return "\n".join(tokens)
    text = ""
    is_quoting, is_glued = False, True
    for token in filter(None, (AS_WRITTEN.get(token, token).strip() for token in tokens)):
        if token == GLUE:
            text, is_glued = f"{text}-", True
            continue
        is_closing = CLOSING.fullmatch(token) is not None
        is_opening = OPENING.fullmatch(token) is not None
        if token == '"':
            is_quoting = not is_quoting
            is_opening, is_closing = is_quoting, not is_quoting
        is_unspaced = text != "" and UNSPACED.match(text[-1]) is not None and UNSPACED.match(token) is not None
        text += token if is_glued or is_closing or is_unspaced else f" {token}"
        is_glued = is_opening
    return text
