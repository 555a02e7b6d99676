"""E-mail addresses, including obfuscated ones, and IP addresses."""

import ipaddress
import re

from lmcore.text.cleaning.personal_data.spans import Spans, words_before
from lmcore.text.words.segmentation import LETTER_OF_WORD

LOCAL_PART = rf"(?<![.+-])(?<!{LETTER_OF_WORD})(?:{LETTER_OF_WORD}|[.+-]){{1,64}}"
HOST_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
EMAIL = re.compile(
    rf"{LOCAL_PART}@(?P<domain>(?:{HOST_LABEL}\.)+(?P<top>[a-z]{{2,24}}))(?!{LETTER_OF_WORD})", re.IGNORECASE
)
AT, DOT = r"(?:\s*[(\[{<]\s*at\s*[)\]}>]\s*)", r"(?:\s*[(\[{<]\s*(?:dot|punkt|punto|point)\s*[)\]}>]\s*|\.)"
SPELLED_EMAIL = re.compile(
    rf"(?<![\w.])[a-z0-9_+-]+(?:{DOT}[a-z0-9_+-]+){{0,3}}{AT}{HOST_LABEL}(?:{DOT}{HOST_LABEL}){{1,3}}(?![\w(])",
    re.ASCII | re.IGNORECASE,
)
# Without brackets, "at" and "dot" occur in any sentence, so a common top-level domain is required.
SPOKEN_EMAIL = re.compile(
    r"(?<![\w.])[a-z0-9_+-]+(?: dot [a-z0-9_+-]+){0,3} at [a-z0-9-]+(?: dot [a-z0-9-]+){0,2} dot "
    r"(?:com|org|net|edu|gov|io|info|eu|uk|de|fr|es|it|nl|ru|in|cn|jp|br)\b",
    re.ASCII | re.IGNORECASE,
)
FILE_ENDINGS = frozenset(
    [
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "ico",
        "bmp",
        "tif",
        "tiff",
        "pdf",
        "css",
        "js",
        "jsx",
        "tsx",
        "json",
        "yaml",
        "yml",
        "xml",
        "html",
        "htm",
        "csv",
        "txt",
        "ini",
        "toml",
    ]
)
SYSTEM_ACCOUNTS = frozenset(("git", "hg", "svn", "ssh", "root", "ubuntu"))
# What follows the host of a remote file, as in scp and git: a colon and a path.
REMOTE_PATH = re.compile(r":[\w~./-]*(?:/|\.git\b)")
VERSION = re.compile(r"v?\d+(?:\.\d+)+|\d+(?:\.\d+)?x\b", re.IGNORECASE)

IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\w)", re.ASCII)
# All public addresses assigned so far start with 2 or 3.
IPV6 = re.compile(r"(?<![\w:.])[23][0-9a-f]{3}:(?:[0-9a-f]{0,4}:){1,6}[0-9a-f]{0,4}(?![\w:])", re.ASCII | re.IGNORECASE)
VERSION_BEFORE = re.compile(
    r"(?:(?<![a-z])(?:versions?|ver|v|releases?|rev|revision|build|firmware|upgraded? to"
    r"|sections?|sec|chapters?|clauses?|paragraphs?|figures?|table|oid)\.?\s*:?\s*|[=<>~!]=\s*|§\s*|[a-z]/|[a-z]-)$",
    re.IGNORECASE,
)
SMALL = 32
MIN_FIRST_OF_KNOWN = 8
"""Well-known addresses that repeat small numbers (8.8.8.8) start with at least this."""


def email_addresses(text: str) -> Spans:
    """Yield e-mail address spans: ``a@example.org``, ``a (at) example (dot) org``, ``a at example dot org``."""
    if "@" in text:
        for match in EMAIL.finditer(text):
            if (end := _end_of_address(match, text)) is not None:
                yield match.start(), end
    lower = text.lower()
    if re.search(r"[(\[{<]\s*at\s*[)\]}>]", lower):
        yield from (match.span() for match in SPELLED_EMAIL.finditer(text))
    if " dot " in lower and " at " in lower:
        yield from (match.span() for match in SPOKEN_EMAIL.finditer(text))


def _end_of_address(match: re.Match[str], text: str) -> int | None:
    """Where an address ends; ``None`` if the match is a file name (``icon@2x.png``), a package version or a system
    account (``git@host:path``)."""
    domain, end = match["domain"], match.end()
    if match["top"].lower() in FILE_ENDINGS:  # a file may be named after an address
        domain, end = domain.rpartition(".")[0], end - len(match["top"]) - 1
    account = match.group().partition("@")[0].lower()
    is_system_account = account in SYSTEM_ACCOUNTS or REMOTE_PATH.match(text, match.end()) is not None
    return None if is_system_account or "." not in domain or VERSION.match(domain) else end


def ip_addresses(text: str) -> Spans:
    """Yield the spans of public IP addresses, but not four-part versions or section numbers."""
    for match in IPV4.finditer(text):
        if _is_public(match.group()) and not _is_version(match, text):
            yield match.span()
    if text.count(":") > 1:
        yield from (match.span() for match in IPV6.finditer(text) if _is_public(match.group()))


def _is_version(match: re.Match[str], text: str) -> bool:
    """Whether a match is more likely a version number: only one address in five thousand has four small numbers."""
    numbers = [int(number) for number in match.group().split(".")]
    is_small = max(numbers) < SMALL and (len(set(numbers)) > 2 or numbers[0] < MIN_FIRST_OF_KNOWN)
    return is_small or words_before(text, match.start(), VERSION_BEFORE)


def _is_public(written: str) -> bool:
    """Whether this is a public address; private and example addresses identify nobody."""
    try:
        return ipaddress.ip_address(written).is_global
    except ValueError:
        return False
