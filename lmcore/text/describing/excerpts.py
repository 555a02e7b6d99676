"""Short excerpts of documents for logs and pages."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from lmcore.config.clean import PersonalDataConfig, PersonalDataKind
from lmcore.text.cleaning.decision import whole_text
from lmcore.text.cleaning.personal_data import PersonalData, mask
from lmcore.text.words.segmentation import shortened

PERSON = "person"
"""Found by a trained pipeline alone, which takes too long for an excerpt."""


def masking(config: PersonalDataConfig | None) -> Callable[[str], str]:
    """A function that masks personal data: an excerpt shows none, whatever becomes of it in the corpus."""
    kinds = tuple(kind for kind in get_args(PersonalDataKind) if kind != PERSON)
    region = config.phone_region if config else None
    finder = PersonalData(PersonalDataConfig(action="mask", kinds=kinds, phone_region=region), None)
    return lambda text: mask(text, finder.find(text))


def excerpt(row: Mapping[str, Any], n_characters: int, mask_text: Callable[[str], str]) -> str:
    """The beginning of what a row of the ledger says, in one line and without personal data."""
    # Masked before it is cut: half an address is not found.
    words = " ".join(mask_text(whole_text(row["text"] or "", row["target"])[: 4 * n_characters]).split())
    return shortened(words, n_characters)
