"""Scores from 0 to 1 for how likely a text was decoded correctly, from the frequent characters of languages."""

import re
import unicodedata
from collections.abc import Callable
from functools import cache

WESTERN = {
    "Danish, Norwegian": "æøåéèêóòâô",
    "Finnish, Swedish": "åäöéüàšž",
    "French": "àâæçéèêëîïôœùûü",
    "German": "äöüßéàè",
    "Icelandic": "áæéíðóöþúý",
    "Italian": "àèéìîòóù",
    "Portuguese": "ãáâàçéêíóôõúü",
    "Spanish, Catalan": "áéíñóúüçàèòï",
}
CENTRAL = {
    "Croatian, Slovene": "čćđšž",
    "Czech, Slovak": "áčďéěíĺľňóôŕřšťúůýžä",
    "Hungarian": "áéíóöőúüű",
    "Polish": "ąćęłńóśźż",
    "Romanian": "ăâîşţșț",
}
BALTIC = {"Estonian": "äõöüšž", "Latvian": "āčēģīķļņšūž", "Lithuanian": "ąčęėįšųūž"}
TURKISH = {"Turkish": "âçğıîöşüûİ"}
CYRILLIC = {"Russian": "оеаинтсрвл", "Ukrainian": "оаниітверс", "Bulgarian, Serbian": "аоиентрсвј"}
GREEK = {"Greek": "αοιετσνηυρπκ"}
HEBREW = {"Hebrew": "יוהלארתבשמ"}
ARABIC = {"Arabic": "االيمونترب", "Persian": "ایرندهمتوب"}
THAI = {"Thai": "านรกอเงวมย่้ีิั"}
"""By language: the non-ASCII letters of Latin alphabets, and about ten frequent letters of other alphabets."""

CHINESE = frozenset(
    "的一是了我不在人有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里后小么心多天而能好都然"
)
TRADITIONAL_CHINESE = frozenset(
    "的一是了我不在人有他這中大來上國個到說們為子和你地出道也時年得就那要下以生會自著去之過家學對可裡後小麼心多天而能好都然"
)
KOREAN = frozenset("이다는에의가을를고하은로지도한사기그어나리아자서인시대해있것들정수일스라만여부게전과으니보주구장제")
"""The most frequent characters of languages that use thousands of them."""

MIN_RATIO_OF_FREQUENT_CHARACTERS = 0.12

RATIO_OF_FREQUENT_LETTERS = 0.55
"""The ratio of a text that the most frequent letters of its language make up, at least."""
WEIGHT_OF_ALL_LANGUAGES = 0.95
PUNCTUATION = frozenset(
    "“”\u2018\u2019„\u201a«»\u2039\u203a\u2013—…€£¥°§©®™·•¡¿¢±²³½¼¾\u00d7\u00a0\u00ad¶№ªº״\u05f3،؛؟ـ฿"
)
SYMBOLS = frozenset("£€¥©¢½¼¾±¶§¿¡\u00d7")
"""Characters that never directly follow a letter."""
WIDE_PUNCTUATION = re.compile("[\u3000-\u3020\uff01-\uff5e\u2010-\u2026\u00b7\u2160-\u217f\u2460-\u2473\u25a0-\u25ff]")
KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\u30fc]")
MIN_RATIO_OF_KANA = 0.15
Score = Callable[[str], float]


def latin(languages: dict[str, str]) -> Score:
    """Score texts in Latin script: the ratio of characters that belong to one of the languages and to their context.

    Letters of several languages count less: they may be those of one language in another encoding.
    """
    alphabets = {PUNCTUATION.union(*languages.values()): WEIGHT_OF_ALL_LANGUAGES}
    alphabets |= {PUNCTUATION.union(letters): 1.0 for letters in languages.values()}

    def score(text: str) -> float:
        positions = _positions(text)
        fitting = [index for index in positions if _fits(text, index, is_latin=True)]
        counts = (
            weight * sum(not letters.isdisjoint((text[index], text[index].lower())) for index in fitting)
            for letters, weight in alphabets.items()
        )
        return max(counts) / len(positions) if positions else 0.0

    return score


def other_alphabet(script: str, languages: dict[str, str], *, has_cases: bool = True) -> Score:
    """Score texts in another script: the ratio of its letters, reduced if its most frequent letters are rare."""
    frequent = [frozenset(letters) for letters in languages.values()]

    def score(text: str) -> float:
        positions = _positions(text)
        letters = [
            text[index]
            for index in positions
            if script in unicodedata.name(text[index], "") and _fits(text, index, is_latin=False)
        ]
        if not letters:
            return 0.0
        n_fitting = len(letters) + sum(text[index] in PUNCTUATION for index in positions)
        small = [letter for letter in letters if not has_cases or letter.islower()]
        ratio = max(sum(letter in each for letter in small) for each in frequent) / len(letters)
        return n_fitting / len(positions) * min(1.0, ratio / RATIO_OF_FREQUENT_LETTERS)

    return score


def characters_of(codec: str, first: int, last: int, frequent: frozenset[str] = frozenset()) -> Score:
    """Score texts by the ratio of characters in the rows of a national standard that hold the common ones.

    Args:
        codec: Python's codec for the standard.
        first: the smallest first byte of common characters.
        last: the largest one.
        frequent: the most frequent characters, if known; a text without them scores less.
    """

    def score(text: str) -> float:
        wide = [text[index] for index in _positions(text)]
        if not wide:
            return 0.0
        common = sum(_is_common(letter, codec, first, last) for letter in wide) / len(wide)
        ratio = sum(letter in frequent for letter in wide) / len(wide)
        return common * (0.9 + 0.1 * min(1.0, ratio / MIN_RATIO_OF_FREQUENT_CHARACTERS)) if frequent else common

    return score


def japanese(text: str) -> float:
    """Score Japanese texts: the ratio of common characters, reduced if there are few kana."""
    common = characters_of("euc_jp", 0xA4, 0xCF)(text)
    wide = [text[index] for index in _positions(text)]
    n_letters = sum(WIDE_PUNCTUATION.match(letter) is None for letter in wide)
    n_kana = sum(KANA.match(letter) is not None for letter in wide)
    return common * min(1.0, n_kana / max(n_letters, 1) / MIN_RATIO_OF_KANA)


@cache
def _is_common(letter: str, codec: str, first: int, last: int) -> bool:
    if WIDE_PUNCTUATION.match(letter):
        return True
    try:
        encoded = letter.encode(codec)
    except UnicodeEncodeError:
        return False
    return len(encoded) == 2 and first <= encoded[0] <= last


def _positions(text: str) -> list[int]:
    return [index for index, letter in enumerate(text) if letter > "\x7f"]


def _fits(text: str, index: int, *, is_latin: bool) -> bool:
    """Whether a character fits its neighbors: no capital inside a word, no currency symbol after a letter."""
    letter, before, after = text[index], text[index - 1 : index], text[index + 1 : index + 2]
    if not letter.isalpha() and not unicodedata.combining(letter):
        return letter in PUNCTUATION and not (letter in SYMBOLS and before.isalpha())
    if before.isdigit() or after.isdigit() or (letter.isupper() and before.islower()):
        return False
    return is_latin or not ((before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha()))
