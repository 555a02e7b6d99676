"""A language that needs a package is refused when the parameters are checked, before any work."""

import json
import sys

import pytest
from pydantic import ValidationError

from lmcore.config.languages import missing_packages
from lmcore.config.tokenize import WordsConfig
from tests.lmcore.text.cleaning_for_tests import configure_cleaning

LANGUAGES = ("ja", "ko", "th", "vi")


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    for name in ("sudachipy", "sudachidict_core", "natto", "pythainlp", "pyvi"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_packages_to_install_are_named(language: str) -> None:
    packages = " ".join(missing_packages(language))
    for settings in (
        {"language": language},
        {"identify_language": {"kept": ["en", language], "min_probability": 0.8, "min_characters": 200}},
    ):
        with pytest.raises(ValidationError, match=f"run `pip install {packages}`"):
            configure_cleaning(**settings)
    words = {"kind": "words", "language": language, "max_words": None, "min_count": 1, "lowercase": False}
    with pytest.raises(ValidationError, match=f"'{language}' that are not installed"):
        WordsConfig.model_validate_json(json.dumps(words))


def test_languages_without_a_package_of_their_own_need_none() -> None:
    assert [missing_packages(language) for language in ("en", "de", "zh", "ar", "ru")] == [[]] * 5
