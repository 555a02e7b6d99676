import pytest

from lmcore.config.clean import BlocklistConfig, LanguageConfig
from lmcore.text.cleaning.blocklist import blocked_content
from lmcore.text.cleaning.decision import DocumentFilter
from lmcore.text.cleaning.language import language_of
from tests.lmcore.text.cleaning_for_tests import LENIENT, configure_cleaning

GERMAN = "Am nächsten Morgen gingen die Kinder in den Wald, um dort Beeren zu sammeln, und kamen erst am Abend zurück."
ENGLISH = "The next morning the children went into the woods to look for berries, and came back only in the evening."
CHINESE = "第二天早上孩子们去森林里采浆果直到晚上才回来。他们的母亲在门口等着他们脸上带着微笑。"
EITHER = LanguageConfig(kept=("en", "zh"), min_probability=0.6, min_characters=20)
BLOCKED = {"phrases": ["bad word"], "max_occurrences": 1, "words_per_occurrence": 500}
MASK = {"action": "mask", "kinds": ["email"], "phone_region": None}


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


def test_blocked_phrases_count_as_whole_words_in_any_case() -> None:
    config = BlocklistConfig(phrases=("Bad Word", "worse"), max_occurrences=1, words_per_occurrence=500)
    assert blocked_content("a bad word once", config) is None
    assert blocked_content("badword, bad wording, worsen", config) is None
    drop = blocked_content("A BAD WORD, and worse, and worse.", config)
    assert drop is not None
    assert (drop.rule, drop.score, drop.threshold, drop.detail) == ("blocked_content", 3.0, 1.0, "bad word, worse")


def test_blocked_phrases_of_scripts_without_spaces_stand_anywhere() -> None:
    config = BlocklistConfig(phrases=("坏话", "av坏", "!!"), max_occurrences=0, words_per_occurrence=500)
    for text in ("他说坏话了", "abc坏话abc", "这是AV坏的", "no!!"):
        assert blocked_content(text, config) is not None, text
    assert blocked_content("坏 话, xav坏!", config) is None


def test_a_text_is_normalized_before_it_is_judged_and_masked_after_that() -> None:
    document_filter = DocumentFilter(
        configure_cleaning(filters=LENIENT | {"min_characters": 12}, personal_data=MASK), None
    )
    kept = document_filter.decide("  Mail\u00a0to a@b.de  \n\n\n\n now")
    assert kept.text == "  Mail to <email>\n\n now"
    assert [change.rule for change in kept.changes] == ["normalized", "masked_email"]
    dropped = document_filter.decide("a@b.de" + "\u200b" * 20)
    assert dropped.drop is not None
    assert dropped.drop.rule == "too_short"
    with_target = document_filter.decide("Write it to a friend.", "To\u00a0c@d.de ")
    assert with_target.target == "To <email>"
    assert [change.rule for change in with_target.changes] == ["normalized", "masked_email"]


def test_a_prompt_and_its_target_are_judged_together() -> None:
    rules = LENIENT | {"min_characters": 20, "min_words": 4}
    document_filter = DocumentFilter(
        configure_cleaning(filters=rules, blocklist=BLOCKED, personal_data=MASK | {"action": "drop"}), None
    )
    assert document_filter.decide("Summarize:", "The town has rebuilt its bridge.").drop is None
    reasons = [
        document_filter.decide("Summarize:"),
        document_filter.decide("A prompt that is long enough.", "bad word, bad word, bad word"),
        document_filter.decide("A prompt that is long enough.", "Write to a@b.de"),
        document_filter.decide("Summarize:", "\x00"),
    ]
    assert [judged.drop and judged.drop.rule for judged in reasons] == [
        "too_short",
        "blocked_content",
        "personal_data",
        "too_short",
    ]


def test_a_long_text_may_name_what_makes_a_short_one_unsuitable() -> None:
    config = BlocklistConfig(phrases=("bad word",), max_occurrences=1, words_per_occurrence=500)
    long = "The village was quiet and the river ran slowly past the old mill. " * 300
    assert blocked_content(f"{long} bad word {long} bad word", config) is None
    assert blocked_content("bad word " * 3, config) is not None
    drop = blocked_content(f"{long} {'bad word ' * 20}", config)
    assert drop is not None
    assert (drop.score, drop.threshold) == (20.0, 8.0)


def test_a_word_goes_on_with_its_vowel_signs() -> None:
    config = BlocklistConfig(phrases=("\u0915\u092e",), max_occurrences=0, words_per_occurrence=500)
    assert blocked_content("\u0915\u092e\u0930\u093e", config) is None
    assert blocked_content("\u0915\u092e\u0940", config) is None
    assert blocked_content("\u0915\u092e \u0939\u0948", config) is not None


def test_a_document_with_personal_data_is_dropped_where_that_is_wanted() -> None:
    document_filter = DocumentFilter(configure_cleaning(personal_data=MASK | {"action": "drop"}), None)
    found = document_filter.decide("Mail to a@b.de now")
    assert found.drop is not None
    assert found.drop.rule == "personal_data"
    assert found.text == "Mail to a@b.de now"


@pytest.mark.parametrize("rules", [{"annotations": ["tags"]}, {"personal_data": MASK | {"kinds": ["person"]}}])
def test_what_needs_a_trained_pipeline_says_how_to_install_one(rules: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="install one"):
        configure_cleaning(**rules)
