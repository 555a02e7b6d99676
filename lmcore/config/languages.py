"""Packages that spaCy needs for some languages but does not install."""

import importlib.util

from lmcore.errors import UserError

PACKAGES = {
    "ja": ("sudachipy", "sudachidict_core"),
    "ko": ("natto-py",),
    "th": ("pythainlp",),
    "vi": ("pyvi",),
}
MODULES = {"natto-py": "natto"}
"""Modules that are not called as their package."""


def missing_packages(language: str) -> list[str]:
    """The packages that have to be installed before spaCy can read ``language``, as the package index names them.

    Nothing is imported, so that parameters can be checked with it.
    """
    packages = PACKAGES.get(language, ())
    return [name for name in packages if importlib.util.find_spec(MODULES.get(name, name)) is None]


def check_language(language: str) -> str:
    """Answer ``language``, a code such as ``en``.

    Raises:
        ValueError: if packages for it are missing; it names them.
    """
    if missing := missing_packages(language):
        raise UserError(
            f"spaCy needs packages for {language!r} that are not installed: run `pip install {' '.join(missing)}`"
        )
    return language
