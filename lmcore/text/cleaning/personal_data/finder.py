"""Finds the configured kinds of personal data in texts, and masks them."""

import re
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lmcore.config.clean import PersonalDataConfig
from lmcore.text.cleaning.personal_data.addresses import email_addresses, ip_addresses
from lmcore.text.cleaning.personal_data.bank_numbers import credit_cards, ibans
from lmcore.text.cleaning.personal_data.identity_numbers import identity_numbers
from lmcore.text.cleaning.personal_data.phone_numbers import phone_numbers
from lmcore.text.cleaning.personal_data.secret_keys import secret_keys
from lmcore.text.cleaning.personal_data.spans import Spans
from lmcore.text.cleaning.reasons import Reason

LONG_NUMBER = re.compile(r"\d(?:[\d\u00a0 ().:/+-]{5,}\d|\d{3}:[\dA-Fa-f:]+)")
NUMBERS = ("iban", "credit_card", "ip_address", "phone")
"""Kinds that a text without a long number cannot contain."""
MASKED = "masked_"


@dataclass(frozen=True, slots=True)
class Finding:
    """An occurrence of personal data: its kind, and the start and end of its span in characters."""

    kind: str
    start: int
    end: int


class PersonalData:
    """Finds and masks personal data.

    Args:
        config: the kinds to find, and the country whose telephone and identity numbers are recognized.
        find_persons: yields the spans of person names in a text; needed if the kinds include ``person``.
    """

    def __init__(self, config: PersonalDataConfig, find_persons: Callable[[str], Spans] | None) -> None:
        self.action = config.action
        region = config.phone_region
        finders: dict[str, Callable[[str], Spans]] = {
            "secret": secret_keys,
            "email": email_addresses,
            "iban": ibans,
            "credit_card": credit_cards,
            "national_id": lambda text: identity_numbers(text, region),
            "ip_address": ip_addresses,
            "phone": lambda text: phone_numbers(text, region),
        }
        if find_persons is not None:
            finders["person"] = find_persons
        # Kinds with prefixes or check digits come first: of two overlapping findings the earlier kind is used.
        self._finders = {kind: find for kind, find in finders.items() if kind in config.kinds}
        self._finders_without_numbers = {kind: find for kind, find in self._finders.items() if kind not in NUMBERS}

    def find(self, text: str) -> list[Finding]:
        """All findings in the order of the text; of two that overlap, the more certain one."""
        found: list[Finding] = []  # sorted by start
        for kind, find in (self._finders if LONG_NUMBER.search(text) else self._finders_without_numbers).items():
            for start, end in find(text):
                index = bisect(found, start, key=lambda finding: finding.start)
                follows_previous = index == 0 or found[index - 1].end <= start
                if follows_previous and (index == len(found) or end <= found[index].start):
                    found.insert(index, Finding(kind, start, end))
        return found

    def masked(self, text: str) -> str:
        """The text with all personal data masked."""
        return mask(text, self.find(text))


def mask(text: str, findings: Sequence[Finding]) -> str:
    """The text with each finding replaced by its kind: ``<email>``."""
    parts, end = [], 0
    for finding in findings:
        parts += [text[end : finding.start], f"<{finding.kind}>"]
        end = finding.end
    return "".join([*parts, text[end:]])


def masked_kinds(findings: Sequence[Finding]) -> tuple[Reason, ...]:
    """One reason for each masked kind; its score is the number of findings."""
    counts = Counter(finding.kind for finding in findings)
    return tuple(Reason(f"{MASKED}{kind}", float(count)) for kind, count in sorted(counts.items()))


def holds_personal_data(findings: Sequence[Finding]) -> Reason | None:
    """The reason to drop a document that contains personal data, or ``None`` if nothing was found."""
    if not findings:
        return None
    kinds = ", ".join(sorted({finding.kind for finding in findings}))
    return Reason("personal_data", float(len(findings)), 0.0, kinds)
