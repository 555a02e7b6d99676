"""Personal data and secrets in texts: where they stand, by patterns and by the check digits that they carry."""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lmcore.text.cleaning.config import PersonalDataConfig
from lmcore.text.cleaning.reasons import Reason
from lmcore.text.words import LETTER_OF_WORD

Spans = Iterator[tuple[int, int]]

PRIVATE_KEY = r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*-----END [A-Z ]*PRIVATE KEY-----"
# Prefixes by which those who give out the keys mark them, so that they can be found.
MARKED_KEY = (
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[0-9A-Za-z]{36,}\b|\bgithub_pat_\w{22,}\b|\bglpat-[\w-]{20,}"
    r"|\bxox[abposr]-[0-9A-Za-z-]{10,}|\bsk-(?:[a-z]+-)?[A-Za-z0-9_]{20,}\b|\b[sr]k_live_[0-9A-Za-z]{20,}\b"
    r"|\bAIza[\w-]{35}|\bhf_[A-Za-z]{30,}\b|\bpypi-[\w-]{50,}|\bnpm_[0-9A-Za-z]{36}\b"
    r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"
)
# Where it says ASCII, letters of other scripts may stand right beside what is looked for, as in Chinese they do.
SECRET = re.compile(f"{PRIVATE_KEY}|{MARKED_KEY}", re.ASCII)
# What is assigned to a name that says what it is; a call, a path and a name of something else are none.
ASSIGNED_KEY = re.compile(
    r"(?:(?:api|access|secret|private|account)[_-]?key|(?:access|auth|api|bot)[_-]?token|secret|password|passwd)"
    r"[\"']?\s{0,2}(?:=>|=|:)\s{0,2}[\"']?(?P<key>[a-z0-9+_-][a-z0-9/+_-]{15,}={0,2})(?![\w./(])",
    re.ASCII | re.IGNORECASE,
)
EMAIL = re.compile(
    rf"(?<![.+-])(?<!{LETTER_OF_WORD})(?:{LETTER_OF_WORD}|[.+-]){{1,64}}"
    rf"@(?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.)+[a-z]{{2,24}}(?!{LETTER_OF_WORD})",
    re.IGNORECASE,
)
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,3})?\b", re.ASCII)
# Numbers as the issuers give them out, in one piece or in their groups.
CREDIT_CARD = re.compile(
    r"(?<![\w.-])(?:(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6011|65\d{2}|35\d{2})([ -]?)\d{4}\1\d{4}\1\d{4}"
    r"|3[47]\d{2}([ -]?)\d{6}\2\d{5})(?![\w-]|\.\d)",
    re.ASCII,
)
# Written out for people: with a country code, or in groups of digits as no table of figures has them.
PHONE = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,5}\)[ .-]?)?\d{1,5}(?:[ .-]?\d{2,5}){1,4}"
    r"|\(\d{2,5}\) ?\d{3,4}[ .-]\d{3,5}|\d{3}-\d{3}-\d{4}|\d{3}\.\d{3}\.\d{4}"
    r"|0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5})(?![\w-]|\.\d)",
    re.ASCII,
)
# In one piece, as mobile numbers are written in many countries.
MOBILE_PHONE = re.compile(r"(?<![\w.+-])[01679]\d{8,11}(?![\w-]|\.\d)", re.ASCII)
IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\w)", re.ASCII)
# All addresses that are given out so far begin with a 2 or a 3.
IPV6 = re.compile(r"(?<![\w:.])[23][0-9a-f]{3}:(?:[0-9a-f]{0,4}:){1,6}[0-9a-f]{0,4}(?![\w:])", re.ASCII | re.IGNORECASE)
# What is searched for first, since most texts have none of it.
KEY_MARKS = (
    "PRIVATE KEY",
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xox",
    "sk-",
    "k_live_",
    "AIza",
    "hf_",
    "pypi-",
    "npm_",
    "eyJ",
)
ASSIGNED_MARKS = ("key", "Key", "KEY", "oken", "OKEN", "ecret", "ECRET", "passw", "Passw", "PASSW")
LONG_NUMBER = re.compile(r"\d(?:[\d ().:/+-]{5,}\d|\d{3}:[\dA-Fa-f:]+)")
NUMBERS = ("iban", "credit_card", "ip_address", "phone")
MASKED = "masked_"


@dataclass(frozen=True, slots=True)
class Finding:
    """A piece of personal data: of which kind, and where in the text it stands."""

    kind: str
    start: int
    end: int


class PersonalData:
    """Finds what a configuration names.

    Args:
        config: which kinds.
        find_persons: spans of names of persons in a text; needed where the kinds include ``person``.
    """

    def __init__(self, config: PersonalDataConfig, find_persons: Callable[[str], Spans] | None) -> None:
        self.action = config.action
        finders: dict[str, Callable[[str], Spans]] = {
            "secret": _secrets,
            "email": _emails,
            "iban": _ibans,
            "credit_card": _credit_cards,
            "ip_address": _ip_addresses,
            "phone": lambda text: _phone_numbers(text, config.phone_region),
        }
        if find_persons is not None:
            finders["person"] = find_persons
        # Those with marks or check digits come before those that are guessed.
        self._finders = {kind: find for kind, find in finders.items() if kind in config.kinds}
        self._finders_without_numbers = {kind: find for kind, find in self._finders.items() if kind not in NUMBERS}

    def find(self, text: str) -> list[Finding]:
        """All pieces in their order in the text; of two that overlap the surer one."""
        found: list[Finding] = []
        for kind, find in (self._finders if LONG_NUMBER.search(text) else self._finders_without_numbers).items():
            for start, end in find(text):
                if all(end <= other.start or other.end <= start for other in found):
                    found.append(Finding(kind, start, end))
        return sorted(found, key=lambda finding: finding.start)


def mask(text: str, findings: Sequence[Finding]) -> str:
    """The text with the name of its kind in the place of each finding: ``<email>``."""
    pieces, end = [], 0
    for finding in findings:
        pieces += [text[end : finding.start], f"<{finding.kind}>"]
        end = finding.end
    return "".join([*pieces, text[end:]])


def masked_kinds(findings: Sequence[Finding]) -> tuple[Reason, ...]:
    """What masking changed: a reason for each kind, whose score is how many there were."""
    counts = Counter(finding.kind for finding in findings)
    return tuple(Reason(f"{MASKED}{kind}", float(count)) for kind, count in sorted(counts.items()))


def holds_personal_data(findings: Sequence[Finding]) -> Reason | None:
    """Why a document is dropped that must not hold any."""
    if not findings:
        return None
    kinds = ", ".join(sorted({finding.kind for finding in findings}))
    return Reason("personal_data", float(len(findings)), 0.0, kinds)


def _secrets(text: str) -> Spans:
    if any(mark in text for mark in KEY_MARKS):
        yield from (match.span() for match in SECRET.finditer(text))
    if any(mark in text for mark in ASSIGNED_MARKS):
        yield from (match.span("key") for match in ASSIGNED_KEY.finditer(text) if _looks_random(match["key"]))


def _looks_random(key: str) -> bool:
    """Words that stand for a key have no digits, numbers no letters."""
    return any(map(str.isdigit, key)) and any(map(str.isalpha, key))


def _emails(text: str) -> Spans:
    return (match.span() for match in EMAIL.finditer(text)) if "@" in text else iter(())


def _ibans(text: str) -> Spans:
    from stdnum import iban

    for match in IBAN.finditer(text):
        # Words in capitals may follow, which the pattern takes for groups of the number.
        written = match.group()
        while written and not iban.is_valid(written):
            written = written.rpartition(" ")[0]
        if written:
            yield match.start(), match.start() + len(written)


def _credit_cards(text: str) -> Spans:
    return (match.span() for match in CREDIT_CARD.finditer(text) if _is_credit_card(match.group()))


def _is_credit_card(written: str) -> bool:
    from stdnum import luhn

    return bool(luhn.is_valid(re.sub(r"\D", "", written)))


def _ip_addresses(text: str) -> Spans:
    patterns = (IPV4, IPV6) if text.count(":") > 1 else (IPV4,)
    for pattern in patterns:
        yield from (match.span() for match in pattern.finditer(text) if _is_public_address(match.group()))


def _is_public_address(written: str) -> bool:
    """Addresses of one's own network or of examples say nothing of anybody."""
    try:
        return ipaddress.ip_address(written).is_global
    except ValueError:
        return False


def _phone_numbers(text: str, region: str | None) -> Spans:
    yield from (match.span() for match in PHONE.finditer(text) if _is_phone_number(match.group(), region))
    if region is not None:
        yield from (match.span() for match in MOBILE_PHONE.finditer(text) if _is_mobile_number(match.group(), region))


def _is_phone_number(written: str, region: str | None) -> bool:
    """Whether the country that it belongs to gives out such numbers."""
    # It brings the numbering plans of all countries along: only texts with something like a number need it.
    import phonenumbers

    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(written, region)))
    except phonenumbers.NumberParseException:
        return False


def _is_mobile_number(written: str, region: str) -> bool:
    """Whether a country gives out such numbers to mobile phones alone; in the USA nobody can tell."""
    import phonenumbers

    found = phonenumbers.PhoneNumberMatcher(written, region, leniency=phonenumbers.Leniency.VALID)
    return any(phonenumbers.number_type(match.number) == phonenumbers.PhoneNumberType.MOBILE for match in found)
