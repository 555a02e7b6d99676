"""Finds personal data and secrets in texts by patterns, check digits and the words before them, and masks them."""

from lmcore.text.cleaning.personal_data.finder import (
    MASKED,
    Finding,
    PersonalData,
    holds_personal_data,
    mask,
    masked_kinds,
)

__all__ = ["MASKED", "Finding", "PersonalData", "holds_personal_data", "mask", "masked_kinds"]
