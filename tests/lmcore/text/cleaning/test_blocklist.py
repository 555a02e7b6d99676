from lmcore.config.clean import BlocklistConfig
from lmcore.text.cleaning.blocklist import blocked_content


def test_blocked_phrases_count_as_whole_words_in_any_case() -> None:
    config = BlocklistConfig(phrases=("Bad Word", "worse"), max_occurrences=1, words_per_occurrence=500)
    assert blocked_content("a bad word once", config) is None
    assert blocked_content("badword, bad wording, worsen", config) is None
    drop = blocked_content("A BAD WORD, and worse, and worse.", config)
    assert drop is not None
    assert (drop.rule, drop.score, drop.threshold, drop.detail) == ("blocked_content", 3.0, 1.0, "bad word, worse")


def test_blocked_phrases_of_scripts_without_spaces_match_anywhere() -> None:
    config = BlocklistConfig(phrases=("坏话", "av坏", "!!"), max_occurrences=0, words_per_occurrence=500)
    for text in ("他说坏话了", "abc坏话abc", "这是AV坏的", "no!!"):
        assert blocked_content(text, config) is not None, text
    assert blocked_content("坏 话, xav坏!", config) is None


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
