"""How documents are cleaned, and what drops them."""

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from lmcore.config import Config
from lmcore.text.config import Name, Share


class FilterConfig(Config):
    """Thresholds: a document beyond one of them is dropped under the name of the rule."""

    min_characters: NonNegativeInt
    min_words: NonNegativeInt
    min_letter_share: Share
    """Letters among the characters that are not white space."""
    max_mean_word_length: NonNegativeFloat
    max_repeated_line_share: Share
    """Lines that already stood in the document, among its lines that are not blank."""
    min_distinct_word_share: Share
    """Different words among the words of any 100 that follow each other."""


class CleanConfig(Config):
    """Steps from a raw document to a clean one."""

    language: Name
    """A language that spaCy knows, as its code (``en``, ``de``, ``zh``)."""
    normalize: bool
    """Repair and unify texts; false leaves them as they are."""
    filters: FilterConfig | None
    """Null lets every text pass that is not empty."""
    remove_duplicates: bool
    max_bytes_per_label: PositiveInt | None
    """Beyond this a label's documents are dropped, chosen by hash, so that no label drowns the others."""
