"""Personal data and secrets in texts: where they are, by patterns, check digits and the words before them."""

from lmcore.text.cleaning.personal_data.finder import (
    MASKED,
    Finding,
    PersonalData,
    holds_personal_data,
    mask,
    masked_kinds,
)

__all__ = ["MASKED", "Finding", "PersonalData", "holds_personal_data", "mask", "masked_kinds"]
