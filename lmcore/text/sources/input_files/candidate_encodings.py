"""The encodings that are detected in text files."""

from lmcore.text.sources.input_files import alphabets
from lmcore.text.sources.input_files.alphabets import Score

CANDIDATES: dict[str, tuple[str, Score]] = {
    "gb18030": ("gb18030", alphabets.characters_of("gb2312", 0xB0, 0xD7, alphabets.CHINESE)),
    "big5": ("big5hkscs", alphabets.characters_of("big5", 0xA4, 0xC6, alphabets.TRADITIONAL_CHINESE)),
    "shift_jis": ("cp932", alphabets.japanese),
    "euc-jp": ("euc_jp", alphabets.japanese),
    "euc-kr": ("cp949", alphabets.characters_of("euc_kr", 0xB0, 0xC8, alphabets.KOREAN)),
    "windows-1252": ("cp1252", alphabets.latin(alphabets.WESTERN)),
    "windows-1251": ("cp1251", alphabets.other_alphabet("CYRILLIC", alphabets.CYRILLIC)),
    "koi8-u": ("koi8_u", alphabets.other_alphabet("CYRILLIC", alphabets.CYRILLIC)),
    "cp866": ("cp866", alphabets.other_alphabet("CYRILLIC", alphabets.CYRILLIC)),
    "iso-8859-5": ("iso8859_5", alphabets.other_alphabet("CYRILLIC", alphabets.CYRILLIC)),
    "windows-1250": ("cp1250", alphabets.latin(alphabets.CENTRAL)),
    "iso-8859-2": ("iso8859_2", alphabets.latin(alphabets.CENTRAL)),
    "windows-1253": ("cp1253", alphabets.other_alphabet("GREEK", alphabets.GREEK)),
    "windows-1254": ("cp1254", alphabets.latin(alphabets.TURKISH)),
    "windows-1255": ("cp1255", alphabets.other_alphabet("HEBREW", alphabets.HEBREW, has_cases=False)),
    "windows-1256": ("cp1256", alphabets.other_alphabet("ARABIC", alphabets.ARABIC, has_cases=False)),
    "windows-1257": ("cp1257", alphabets.latin(alphabets.BALTIC)),
    "windows-874": ("cp874", alphabets.other_alphabet("THAI", alphabets.THAI, has_cases=False)),
    "macintosh": ("mac_roman", alphabets.latin(alphabets.WESTERN)),
    "cp850": ("cp850", alphabets.latin(alphabets.WESTERN)),
}
"""The encodings that are detected, the most frequent first, by their WHATWG name if they have one: Python's codec, and
the function that scores a decoded text."""

RARE = frozenset({"cp850", "cp866", "iso-8859-5", "macintosh"})
"""The candidates that need more evidence."""
WIDE_ENCODINGS = frozenset({"gb18030", "big5", "shift_jis", "euc-jp", "euc-kr"})
"""The candidates in which a character may have several bytes, as in UTF-8."""
