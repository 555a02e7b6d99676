"""In which language a text is."""

from functools import cache
from typing import TYPE_CHECKING

from lmcore.config.clean import LanguageConfig
from lmcore.text.cleaning.reasons import Reason
from lmcore.text.words.segmentation import length_in_letters

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

SAMPLED_CHARACTERS = 300
# Nothing in any language, such as program code; or not to be told.
UNKNOWN = ("zxx", "und")
ENGLISH_WORDS = frozenset(("the", "and", "of", "to", "with", "that", "this", "which", "from", "are", "by", "if", "be"))
LEAST_ENGLISH_WORDS = 3


def identify(text: str) -> tuple[str, float]:
    """The likeliest language of a text as its code (ISO 639), and its probability, by its first 300 characters.

    A naive Bayes classifier over byte n-grams, trained for 140 languages (Lui & Baldwin 2012, langid.py; the package
    py3langid).
    """
    language, probability = _identifier().classify(text[:SAMPLED_CHARACTERS])
    return str(language), float(probability)


def language_of(text: str, default: str, config: LanguageConfig | None) -> tuple[str, Reason | None]:
    """A text's language, and why the document is dropped, if it is.

    Args:
        text: normalized.
        default: its language where it is not identified, or not surely another one.
        config: null identifies nothing.
    """
    if config is None or length_in_letters(text) < config.min_characters:
        return default, None
    if "en" in config.kept and _is_plainly_english(text):
        return "en", None
    language, probability = identify(text)
    if language in config.kept:
        return language, None
    if probability < config.min_probability or language in UNKNOWN:
        return default, None
    return language, Reason("other_language", probability, config.min_probability, detail=language)


def _is_plainly_english(text: str) -> bool:
    """Whether words stand in a text that no other language brings together: most English is known by them."""
    words = text[:SAMPLED_CHARACTERS].lower().split()
    return text.isascii() and len(ENGLISH_WORDS.intersection(words)) >= LEAST_ENGLISH_WORDS


@cache
def _identifier() -> "LanguageIdentifier":
    # It takes a second to load, and only the process that computes needs it.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
