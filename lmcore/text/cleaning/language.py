"""Identifies the language of a text."""

from functools import cache
from typing import TYPE_CHECKING

from lmcore.config.clean import LanguageConfig
from lmcore.text.cleaning.reasons import Reason
from lmcore.text.words.segmentation import length_in_letters

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

SAMPLED_CHARACTERS = 300
# No linguistic content, such as program code; undetermined.
UNKNOWN = ("zxx", "und")
ENGLISH_WORDS = frozenset(("the", "and", "of", "to", "with", "that", "this", "which", "from", "are", "by", "if", "be"))
MIN_ENGLISH_WORDS = 3


def identify(text: str) -> tuple[str, float]:
    """The most probable language of a text (ISO 639 code) and its probability, from its first 300 characters.

    Uses a naive Bayes classifier over byte n-grams, trained on 140 languages (Lui & Baldwin 2012, langid.py; package
    py3langid).
    """
    language, probability = _identifier().classify(text[:SAMPLED_CHARACTERS])
    return str(language), float(probability)


def language_of(text: str, default: str, config: LanguageConfig | None) -> tuple[str, Reason | None]:
    """The language code of a text, and the reason to drop it if that language is not kept.

    Args:
        text: the normalized text.
        default: the language of texts that are not confidently identified as another one.
        config: which languages are kept; ``None`` disables identification.
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
    """Whether a text contains words that occur together in English only, which saves identifying most English."""
    words = text[:SAMPLED_CHARACTERS].lower().split()
    return text.isascii() and len(ENGLISH_WORDS.intersection(words)) >= MIN_ENGLISH_WORDS


@cache
def _identifier() -> "LanguageIdentifier":
    # The model takes a second to load, and only the process that computes needs it.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
