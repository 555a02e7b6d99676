"""Short excerpts of documents for logs and pages, without personal data."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from lmcore.config.clean import PersonalDataConfig, PersonalDataKind
from lmcore.text.cleaning.decision import whole_text
from lmcore.text.cleaning.personal_data import PersonalData
from lmcore.text.words.segmentation import shortened

PERSON = "person"
"""The kind that only a trained pipeline finds, which is too slow for excerpts."""


def excerpt_mask(config: PersonalDataConfig | None) -> Callable[[str], str]:
    """A function that masks all kinds of personal data but names, whether or not the corpus itself is masked."""
    kinds = tuple(kind for kind in get_args(PersonalDataKind) if kind != PERSON)
    region = config.phone_region if config else None
    return PersonalData(PersonalDataConfig(action="mask", kinds=kinds, phone_region=region), None).masked


def excerpt(row: Mapping[str, Any], n_characters: int, mask: Callable[[str], str]) -> str:
    """The beginning of the document in a row of the ledger, on one line and without personal data."""
    # Masked before it is cut, because half an address would not be found.
    words = " ".join(mask(whole_text(row["text"] or "", row["target"])[: 4 * n_characters]).split())
    return shortened(words, n_characters)
