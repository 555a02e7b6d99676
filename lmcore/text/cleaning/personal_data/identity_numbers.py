"""National identity, social security and personal tax numbers, verified by format and check digits (python-stdnum)."""

import re
from dataclasses import dataclass
from importlib import import_module

from lmcore.text.cleaning.personal_data.spans import Spans, words_before


@dataclass(frozen=True)
class IdentityNumber:
    """A kind of number that a country assigns to persons.

    Attributes:
        region: the country (ISO 3166).
        pattern: a regular expression for its format.
        module: the module of ``stdnum`` that verifies it; ``None`` if it has no check digits.
        is_distinctive: whether no other numbers look like it, so that it is recognized whatever the region.
        words: a regular expression for words before it, which identify it in any text.
        needs_words: whether the words are required in its own region, too, because many other numbers look like it.
    """

    region: str
    pattern: str
    module: str | None
    is_distinctive: bool = False
    words: str = "(?!)"
    needs_words: bool = False

    def is_valid(self, written: str) -> bool:
        """Whether the check digits are right."""
        if self.module is None:
            return True
        return bool(import_module(f"stdnum.{self.module}").is_valid(written))


NUMBERS = (
    IdentityNumber("US", r"\d{3}-\d{2}-\d{4}", "us.ssn", is_distinctive=True),
    IdentityNumber("US", r"\d{3}[ ]?\d{2}[ ]?\d{4}", "us.ssn", words=r"\bSSN\b|social security", needs_words=True),
    IdentityNumber("US", r"9\d{2}-\d{2}-\d{4}", "us.itin", is_distinctive=True),
    IdentityNumber(
        "GB",
        r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ ]?\d{2}[ ]?\d{2}[ ]?\d{2}[ ]?[A-D]",
        None,
        is_distinctive=True,
    ),
    IdentityNumber("GB", r"\d{3}[ -]?\d{3}[ -]?\d{4}", "gb.nhs", words=r"\bNHS\b", needs_words=True),
    IdentityNumber("CA", r"\d{3}[ -]\d{3}[ -]\d{3}", "ca.sin", words=r"\bSIN\b|social insurance|\bNAS\b"),
    IdentityNumber("AU", r"\d{3}[ ]?\d{3}[ ]?\d{3}", "au.tfn", words=r"\bTFN\b|tax file", needs_words=True),
    IdentityNumber(
        "FR", r"[12][ ]?\d{2}[ ]?\d{2}[ ]?\d[\dAB][ ]?\d{3}[ ]?\d{3}[ ]?\d{2}", "fr.nir", is_distinctive=True
    ),
    IdentityNumber("DE", r"\d{2}[ ]?\d{3}[ ]?\d{3}[ ]?\d{3}", "de.idnr", words="steuer|IdNr|tax id"),
    IdentityNumber("ES", r"\d{8}-?[A-Z]", "es.dni", words=r"\bDNI\b|\bNIF\b"),
    IdentityNumber("ES", r"[XYZ]-?\d{7}-?[A-Z]", "es.nie", words=r"\bNIE\b"),
    IdentityNumber("IT", r"[A-Z]{6}\d{2}[A-EHLMPR-T]\d{2}[A-Z]\d{3}[A-Z]", "it.codicefiscale", is_distinctive=True),
    IdentityNumber("NL", r"\d{9}|\d{4}\.\d{2}\.\d{3}", "nl.bsn", words=r"\bBSN\b|burgerservice", needs_words=True),
    IdentityNumber("BE", r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", "be.nn", is_distinctive=True),
    IdentityNumber("CH", r"756[.]\d{4}[.]\d{4}[.]\d{2}", "ch.ssn", is_distinctive=True),
    IdentityNumber("AT", r"\d{4}[ ]?\d{6}", "at.vnr", words=r"SVNR|versicherungsnummer", needs_words=True),
    IdentityNumber("PL", r"\d{11}", "pl.pesel", words="PESEL"),
    IdentityNumber("CZ", r"\d{6}/\d{4}", "cz.rc", is_distinctive=True),
    IdentityNumber("SE", r"(?:\d{2})?\d{6}[-+]\d{4}", "se.personnummer", words="personnummer"),
    IdentityNumber("DK", r"\d{6}-\d{4}", "dk.cpr", words="CPR"),
    IdentityNumber("NO", r"\d{6}[ ]?\d{5}", "no.fodselsnummer", words="fødselsnummer|personnummer"),
    IdentityNumber("FI", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]", "fi.hetu", is_distinctive=True),
    IdentityNumber("PT", r"\d{3}[ ]?\d{3}[ ]?\d{3}", "pt.nif", words=r"\bNIF\b|contribuinte", needs_words=True),
    IdentityNumber("IE", r"\d{7}[A-W][A-IW]?", "ie.pps", words=r"\bPPSN?\b"),
    IdentityNumber("RO", r"[1-8]\d{12}", "ro.cnp", words=r"\bCNP\b"),
    IdentityNumber("TR", r"[1-9]\d{10}", "tr.tckimlik", words=r"kimlik|T\.?C\.?"),
    IdentityNumber("ZA", r"\d{13}", "za.idnr", words=r"\bID\b|identity"),
    IdentityNumber("IL", r"\d{9}", "il.idnr", words="teudat|identity", needs_words=True),
    IdentityNumber("BR", r"\d{3}\.\d{3}\.\d{3}-\d{2}", "br.cpf", is_distinctive=True),
    IdentityNumber("BR", r"\d{11}", "br.cpf", words=r"\bCPF\b", needs_words=True),
    IdentityNumber("MX", r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d", "mx.curp", is_distinctive=True),
    IdentityNumber("IN", r"[2-9]\d{3}[ -]\d{4}[ -]\d{4}", "in_.aadhaar", words="aadhaar|aadhar|UIDAI|आधार"),
    IdentityNumber("IN", r"[2-9]\d{11}", "in_.aadhaar", words="aadhaar|aadhar|UIDAI|आधार", needs_words=True),
    IdentityNumber("IN", r"[A-Z]{3}[PCHFATBLJG][A-Z]\d{4}[A-Z]", "in_.pan", words=r"\bPAN\b"),
    IdentityNumber("CN", r"[1-9]\d{16}[\dXx]", "cn.ric", is_distinctive=True),
    IdentityNumber(
        "JP",
        r"\d{4}[ -]?\d{4}[ -]?\d{4}",
        "jp.in_",
        words="my ?number|マイナンバー|個人番号",
        needs_words=True,
    ),
    IdentityNumber("KR", r"\d{6}-[0-8]\d{6}", "kr.rrn", is_distinctive=True),
    IdentityNumber("TH", r"\d-\d{4}-\d{5}-\d{2}-\d", "th.pin", is_distinctive=True),
    IdentityNumber("RU", r"\d{12}", "ru.inn", words="инн", needs_words=True),
    IdentityNumber("RU", r"\d{3}-\d{3}-\d{3}[ -]\d{2}", None, words="снилс"),
)
# Every format contains a match of this, and most texts have none.
LIKELY = re.compile(r"(?:\d[ ./-]?){8}|[A-Z]{1,6}[ -]?\d\d|\d{6}[-+A-FU-Y]\d{3}", re.ASCII)
MARGIN = 24


def identity_numbers(text: str, region: str | None) -> Spans:
    """Yield the spans of national identity numbers.

    Args:
        text: the text to search.
        region: the country (ISO 3166) whose numbers are recognized even if they are not distinctive.
    """
    for start, end in _likely_spans(text):
        for number, pattern, words in PATTERNS:
            is_expected = number.is_distinctive or (number.region == region and not number.needs_words)
            for match in pattern.finditer(text, start, end):
                if (is_expected or words_before(text, match.start(), words)) and number.is_valid(match.group()):
                    yield match.span()


def _likely_spans(text: str) -> Spans:
    """Yield the spans of a text that may contain a number, with a margin on both sides."""
    start = end = 0
    for match in LIKELY.finditer(text):
        if match.start() > end + MARGIN:
            if end:
                yield start, end + MARGIN
            start = max(match.start() - MARGIN, 0)
        end = match.end()
    if end:
        yield start, end + MARGIN


PATTERNS = tuple(
    (
        number,
        # Not part of a longer number, a word, a decimal number or a path.
        re.compile(rf"(?<![\w.+/-])(?:{number.pattern})(?![\w-]|\.\d)", re.ASCII),
        re.compile(number.words, re.IGNORECASE),
    )
    for number in NUMBERS
)
