"""Telephone numbers, verified by the numbering plans of all countries (``phonenumbers``, a port of libphonenumber)."""

import re
from typing import TYPE_CHECKING

from lmcore.text.cleaning.personal_data.spans import Spans, words_before

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

# Seven to seventeen digits in groups, not part of a word, an amount, a decimal number or a path.
CANDIDATE = re.compile(
    r"(?<![\w.+%#$€£¥@/№-])(?:\+ ?|\()?\+?\d"
    r"(?:\)?(?:[\u00a0 ]?[/-][\u00a0 ]?|[\u00a0 .])?\(?\d){6,16}(?![\w%]|[.,:]\d|-\w)",
    re.ASCII,
)
PHONE_WORD = re.compile(
    r"(?:\b(?:tele?(?:ph?one?|fon[oe]?|fax)?|tél(?:éphone)?|teléfono|phone|call|ring|dial|fax|mobiles?|mobil|cell(?:ulare?)?|celular"
    r"|handy|móvil|portable|rufen|anrufen|appele[rz]|llam[ae]|ligue|chiam\w+|whatsapp|sms|text|hotline|rufnummer"
    r"|contact|number|nummer|número|numéro)\b|[☎☏📞📱]|电话|手机|電話|携帯|전화"
    r"|тел|факс|позвон|هاتف|फोन)",
    re.IGNORECASE,
)
OTHER_NUMBER_WORD = re.compile(
    r"\b(?:scores?|orders?|invoice|ticket|refs?|reference|ids?|serial|sku|model|version|isbn|issn|doi|pmid|case|bug|issue"
    r"|part|article|batch|lot|rows?|lines?|pages?|zip|account|item|bestellung|rechnung|commande|facture|pedido|factura"
    r"|port|timestamp|epoch|unix|time|date|dated|years?|range|between|from|=)\W{0,3}(?:no|nr|number|num|is|was|of|:)?[\W\d]{0,6}$",
    re.IGNORECASE,
)
DATE = re.compile(
    r"(?:19|20)\d\d[-/. ]\d\d?[-/. ]\d\d?|\d\d?[-/. ]\d\d?[-/. ](?:19|20)?\d\d|(?:1\d|20)\d\d ?[-/] ?(?:1\d|20)\d\d"
)
THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:[ \u00a0.]\d{3})+")
DOTTED_BYTES = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}")


def phone_numbers(text: str, region: str | None) -> Spans:
    """Yield the spans of telephone numbers.

    Args:
        text: the text to search.
        region: the country (ISO 3166) whose numbers are recognized without a country code; ``None`` for none.
    """
    for match in CANDIDATE.finditer(text):
        written = match.group()
        if written[0] not in "+(" and (region is None or _is_other_number(written, match.start(), text)):
            continue
        if span := _valid_number(written, match.start(), text, region):
            yield span


def _is_other_number(written: str, start: int, text: str) -> bool:
    """Whether a number without a country code is more likely a date, an amount, or part of a table."""
    # Numbers with both dots and hyphens are clauses of regulations, such as 252.227-7013.
    if DATE.fullmatch(written) or DOTTED_BYTES.fullmatch(written) or ("." in written and "-" in written):
        return True
    if words_before(text, start, PHONE_WORD):
        return False
    is_in_row = text[:start].endswith((" ", "\t")) and text[max(start - 4, 0) : start].strip()[-1:].isdigit()
    return is_in_row or THOUSANDS.fullmatch(written) is not None or words_before(text, start, OTHER_NUMBER_WORD)


def _valid_number(written: str, start: int, text: str, region: str | None) -> tuple[int, int] | None:
    # The numbering plans take time to load, and only texts with candidates need them.
    import phonenumbers

    # An unmatched bracket is not part of the number.
    offset = 1 if written[0] == "(" and ")" not in written else 0
    for match in phonenumbers.PhoneNumberMatcher(
        written[offset:], region, leniency=phonenumbers.Leniency.STRICT_GROUPING
    ):
        has_word = words_before(text, start, PHONE_WORD)
        if match.start > 1 or (match.end < len(written) - offset and not has_word):
            return None
        raw = match.raw_string
        if not raw.isdigit() or has_word or _is_plausible_without_separators(raw, match.number):
            return start + offset + match.start, start + offset + match.end
        return None
    return None


def _is_plausible_without_separators(digits: str, number: "PhoneNumber") -> bool:
    """Whether digits without separators are very likely a telephone number: they have the national prefix, or are a
    mobile number in a country where those are distinct (in the USA they are not)."""
    import phonenumbers

    has_prefix = digits[0] == "0" and len(digits) >= 10
    return has_prefix or phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE
