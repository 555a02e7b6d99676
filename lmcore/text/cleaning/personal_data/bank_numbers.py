"""Bank account and credit card numbers, verified by their check digits."""

import re

from lmcore.text.cleaning.personal_data.spans import Spans

IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,3})?\b", re.ASCII)
# The number ranges of the issuers, without separators or in the usual groups.
CREDIT_CARD = re.compile(
    r"(?<![\w.-])(?:(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6011|65\d{2}|35\d{2})([ -]?)\d{4}\1\d{4}\1\d{4}"
    r"|3[47]\d{2}([ -]?)\d{6}\2\d{5})(?![\w-]|\.\d)",
    re.ASCII,
)


def ibans(text: str) -> Spans:
    """Yield the spans of international bank account numbers."""
    from stdnum import iban

    for match in IBAN.finditer(text):
        # The pattern also matches capitalized words after the number: remove them one by one.
        written = match.group()
        while written and not iban.is_valid(written):
            written = written.rpartition(" ")[0]
        if written:
            yield match.start(), match.start() + len(written)


def credit_cards(text: str) -> Spans:
    """Yield the spans of credit card numbers."""
    from stdnum import luhn

    for match in CREDIT_CARD.finditer(text):
        if luhn.is_valid(re.sub(r"\D", "", match.group())):
            yield match.span()
