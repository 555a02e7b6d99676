"""Packages that spaCy needs for some languages but does not install itself."""

import importlib.util

from lmcore.errors import UserError

PACKAGES = {
    "ja": ("sudachipy", "sudachidict_core"),
    "ko": ("natto-py",),
    "th": ("pythainlp",),
    "vi": ("pyvi",),
}
MODULES = {"natto-py": "natto"}
"""Packages whose module has another name."""


def missing_packages(language: str) -> list[str]:
    """Names on PyPI of the packages that spaCy needs for ``language`` and that are not installed. Imports nothing."""
    packages = PACKAGES.get(language, ())
    return [name for name in packages if importlib.util.find_spec(MODULES.get(name, name)) is None]


def check_language(language: str) -> str:
    """Return a language code such as ``en`` unchanged.

    Raises:
        ValueError: with the packages that are missing for the language.
    """
    if missing := missing_packages(language):
        raise UserError(
            f"spaCy needs packages for {language!r} that are not installed: run `pip install {' '.join(missing)}`"
        )
    return language
