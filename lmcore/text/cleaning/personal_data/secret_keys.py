"""Passwords, keys and tokens, recognized by the prefixes of their issuers or by the names they are assigned to."""

import re
from collections.abc import Callable

from lmcore.text.cleaning.personal_data.spans import Spans

MAX_KEY_BLOCK = 50_000
# A truncated block ends with the last line that could belong to it.
KEY_BLOCK = (
    rf"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?:[\s\S]{{0,{MAX_KEY_BLOCK}}}?"
    r"-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|(?:\s+[A-Za-z0-9+/=:, -]+)*)"
)
PREFIXED_KEYS = (
    KEY_BLOCK,
    r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA)[0-9A-Z]{16}\b",  # Amazon
    r"\bgh[pousr]_[0-9A-Za-z]{36,}\b|\bgithub_pat_\w{22,}\b|\bgl(?:pat|ptt|dt|rt|cbt|soat|agent)-[\w-]{20,}",
    r"\bxox[abceoprs]-[0-9A-Za-z-]{10,}|\bxapp-[0-9A-Za-z-]{10,}|hooks\.slack\.com/services/T\w+/B\w+/\w+",
    r"\b[srp]k_(?:live|test)_[0-9A-Za-z]{20,}\b|\bwhsec_[0-9A-Za-z+/=]{20,}",  # Stripe
    r"\bAIza[\w-]{35}|\bya29\.[\w-]{20,}|\bGOCSPX-[\w-]{20,}",  # Google
    r"\bhf_[A-Za-z0-9]{30,}\b|\br8_[0-9A-Za-z]{30,}\b|\bgsk_[0-9A-Za-z]{40,}\b|\bxai-[0-9A-Za-z]{40,}\b",
    r"\bnvapi-[\w-]{40,}|\bpplx-[0-9A-Za-z]{40,}\b|\btvly-[\w-]{20,}",
    r"\bpypi-[\w-]{50,}|\bnpm_[0-9A-Za-z]{36}\b|\brubygems_[0-9a-f]{40,}\b|\bdckr_pat_[\w-]{20,}",
    r"\bSG\.[\w-]{16,}\.[\w-]{16,}|\bkey-[0-9a-f]{32}\b|\bSK[0-9a-f]{32}\b",  # SendGrid, Mailgun, Twilio
    r"\bdop_v1_[0-9a-f]{64}\b|\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}\b|\bsq0[a-z]{3}-[\w-]{20,}|\bhvs\.[\w-]{20,}",
    r"\bglsa_\w{32,}\b|\blin_api_\w{30,}\b|\bfigd_[\w-]{30,}|\bPMAK-[\w-]{30,}|\bATATT3[\w=-]{50,}|\bsbp_[0-9a-f]{40}\b",
    r"\bAGE-SECRET-KEY-1[0-9A-Z]{50,}\b|\b\d{8,10}:AA[\w-]{33}(?![\w-])",  # age, Telegram
    r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}(?:\.[\w-]{10,})?",  # JSON web tokens
)
# With re.ASCII, letters of other scripts count as boundaries: in Chinese they touch the key.
PREFIXED_KEY = re.compile("|".join(PREFIXED_KEYS), re.ASCII)
# Ordinary words have this prefix, too, so the rest has to look like a key.
SK_KEY = re.compile(r"\bsk-[A-Za-z0-9_-]{20,}", re.ASCII)
HEADER = re.compile(r"\b(?:[Bb]earer|BEARER|[Bb]asic|[Tt]oken)\s+(?P<key>[\w.~+/-]{16,}={0,2})", re.ASCII)
URL_PASSWORD = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"'<>]{1,64}:(?P<key>[^\s:/@\"'<>{}$]{3,128})@", re.IGNORECASE
)
NAME = re.compile(
    r"(?:(?:api|access|secret|private|account|encryption|signing|shared)[_-]?key"
    r"|(?:access|auth|api|bot|refresh)[_-]?token|secret|(?<![a-z])token"
    r"|passphrase|password|passwd|passwort|contraseña|mot de passe|(?<![a-z])pwd|пароль|密码|パスワード)"
    r"[\"']?\s{0,2}$",
    re.IGNORECASE,
)
"""A name that identifies the assigned value as a secret, at the end of the text before the assignment."""
LONGEST_NAME = 32
# Not a call, a path or another name.
ASSIGNED_KEY = re.compile(
    r"(?:=>|=|:)\s{0,2}[\"']?(?P<key>[A-Za-z0-9+_-][A-Za-z0-9/+_-]{15,}={0,2})(?![\w./(])", re.ASCII
)
# In quotation marks a key may be shorter and contain any character except those of templates.
QUOTED_KEY = re.compile(r"(?:=>|=|:)\s{0,2}(?P<quote>[\"'])(?P<key>[^\s\"'<>{}]{8,128})(?P=quote)")
# Without quotation marks, as in configuration files, up to the end of the word.
BARE_KEY = re.compile(r"(?:=>|=|:|\uff1a)\s{0,2}(?P<key>[^\s\"'<>{}()\[\],;]{8,128})(?=[\s,;\"']|$)")
# Checked first, since most texts contain none of them.
MARKS = (
    *("PRIVATE KEY", "AKIA", "ASIA", "AGPA", "AIDA", "AROA", "ANPA", "ANVA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    *(
        "github_pat_",
        "glpat-",
        "glptt-",
        "gldt-",
        "glrt-",
        "glcbt-",
        "glsoat-",
        "glagent-",
        "xox",
        "xapp-",
        "slack.com",
    ),
    *("k_live_", "k_test_", "whsec_", "AIza", "ya29.", "GOCSPX-", "hf_", "r8_", "gsk_", "xai-", "nvapi-", "pplx-"),
    *("tvly-", "pypi-", "npm_", "rubygems_", "dckr_pat_", "SG.", "key-", "SK", "dop_v1_", "shpat_", "shpca_", "shppa_"),
    *("shpss_", "sq0", "hvs.", "glsa_", "lin_api_", "figd_", "PMAK-", "ATATT3", "sbp_", "AGE-SECRET", ":AA", "eyJ"),
)
HEADER_MARKS = ("bearer ", "basic ", "token ")
NAME_MARKS = (
    *(
        "key",
        "token",
        "secret",
        "passw",
        "passphrase",
        "pwd",
        "contrase",
        "mot de passe",
        "пароль",
        "密码",
        "パスワード",
    ),
)
MIXED = re.compile(r"(?=.*[A-Za-z])(?=.*\d)\w{6,}|(?=.*[a-z])(?=.*[A-Z]{2})\w{8,}", re.ASCII)
"""Unlike any word: at least six letters and digits, or at least eight letters of mixed case."""
# Placeholders for keys in documentation.
PLACEHOLDER = re.compile(r"example|your|change_?me|placeholder|dummy|redacted|x{4,}|\*{3,}|\.{3}|%\(|%s", re.IGNORECASE)


def secret_keys(text: str) -> Spans:
    """Yield the spans of passwords, keys and tokens."""
    if any(mark in text for mark in MARKS):
        yield from (match.span() for match in PREFIXED_KEY.finditer(text))
    if "sk-" in text:
        yield from (match.span() for match in SK_KEY.finditer(text) if _looks_random(match.group()))
    if "://" in text:
        yield from (match.span("key") for match in URL_PASSWORD.finditer(text) if _is_credential(match["key"]))
    lower = text.lower()
    if any(mark in lower for mark in HEADER_MARKS):
        yield from (match.span("key") for match in HEADER.finditer(text) if _looks_random(match["key"]))
    if any(mark in lower for mark in NAME_MARKS):
        yield from _assigned(text, ASSIGNED_KEY, _looks_random)
        yield from _assigned(text, QUOTED_KEY, _looks_like_password)
        yield from _assigned(text, BARE_KEY, _looks_like_bare_password)


def _assigned(text: str, assignment: re.Pattern[str], is_key: Callable[[str], bool]) -> Spans:
    for match in assignment.finditer(text):
        before = text[max(match.start() - LONGEST_NAME, 0) : match.start()]
        if is_key(match["key"]) and NAME.search(before):
            yield match.span("key")


def _looks_random(key: str) -> bool:
    """Whether a key has letters and digits and is not made of words and numbers joined by hyphens or underscores."""
    parts = re.split("[-_/.]", key)
    is_phrase = len(parts) >= 3 and not any(MIXED.fullmatch(part) for part in parts)
    return any(map(str.isdigit, key)) and any(map(str.isalpha, key)) and not is_phrase


def _looks_like_password(key: str) -> bool:
    """Whether this is not a plain word, a placeholder or a reference to a password."""
    kinds = (str.islower, str.isupper, str.isdigit, lambda character: not character.isalnum())
    n_kinds = sum(any(map(kind, key)) for kind in kinds)
    return n_kinds >= 3 and not _is_placeholder(key) and not re.search(r"[(\[$/\\]", key)


def _looks_like_bare_password(key: str) -> bool:
    """Like :func:`_looks_like_password`, but rejects variable names, paths and hyphenated words."""
    is_path = key.startswith(("/", "./", "~", "\\"))
    return not is_path and any(map(str.isdigit, key)) and _looks_like_password(re.sub("[-_./]", "", key))


def _is_credential(password: str) -> bool:
    """Whether the password in a URL is more than the plain word or placeholder of an example."""
    return not password.isalpha() and not _is_placeholder(password)


def _is_placeholder(key: str) -> bool:
    return PLACEHOLDER.search(key) is not None or key.lower() in ("password", "passwd", "pass", "secret", "token")
