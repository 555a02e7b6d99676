import pytest

from lmcore.config.clean import LanguageConfig
from lmcore.text.cleaning.language import language_of

GERMAN = "Am nächsten Morgen gingen die Kinder in den Wald, um dort Beeren zu sammeln, und kamen erst am Abend zurück."


ENGLISH = "The next morning the children went into the woods to look for berries, and came back only in the evening."


CHINESE = "第二天早上孩子们去森林里采浆果直到晚上才回来。他们的母亲在门口等着他们脸上带着微笑。"


EITHER = LanguageConfig(kept=("en", "zh"), min_probability=0.6, min_characters=20)


@pytest.mark.parametrize(("text", "language"), [(ENGLISH, "en"), (CHINESE, "zh")])
def test_a_text_in_a_language_that_stays_is_known_by_it(text: str, language: str) -> None:
    assert language_of(text, "en", EITHER) == (language, None)


def test_a_chinese_text_is_as_long_as_what_it_says() -> None:
    config = EITHER.model_copy(update={"min_characters": 120})
    assert len(CHINESE) < 50
    assert language_of(CHINESE, "en", config) == ("zh", None)
    assert language_of(CHINESE[:30], "en", config) == ("en", None)


def test_another_language_is_dropped_by_name_and_probability() -> None:
    language, drop = language_of(GERMAN, "en", EITHER)
    assert language == "de"
    assert drop is not None
    assert (drop.rule, drop.threshold, drop.detail) == ("other_language", 0.6, "de")
    assert 0.6 <= (drop.score or 0.0) <= 1.0


def test_what_is_short_or_unsure_is_in_the_language_that_is_expected() -> None:
    assert language_of("Beeren im Wald", "en", EITHER) == ("en", None)
    assert language_of(GERMAN, "en", EITHER.model_copy(update={"min_probability": 1.0})) == ("en", None)
    assert language_of(GERMAN, "en", None) == ("en", None)
