import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.text.cleaning.filter_input import FilterInput
from lmcore.text.cleaning.filters import FILTERS, first_failure
from lmcore.text.cleaning.repetition import too_many_repeated_runs
from tests.lmcore.text.cleaning_for_tests import configure_filters

TEN = "one two three four five six seven eight nine ten"
THRESHOLDS = configure_filters(
    min_characters=10,
    min_words=3,
    min_letter_ratio=0.5,
    min_mean_word_length=1.6,
    max_mean_word_length=12.0,
    min_alphabetic_word_ratio=0.6,
    max_symbols_per_word=0.4,
    min_distinct_stop_words=1,
    max_bullet_line_ratio=0.6,
    max_ellipsis_line_ratio=0.4,
    min_sentence_line_ratio=0.25,
    max_repeated_line_ratio=0.5,
    max_repeated_paragraph_ratio=0.4,
    min_distinct_word_ratio=0.3,
    max_top_pair_ratio=0.6,
    max_repeated_run_ratio=0.5,
    placeholders=["Lorem ipsum"],
)


@pytest.mark.parametrize(
    ("text", "rule", "score", "threshold"),
    [
        ("too short", "too_short", 9, 10),
        ("only twowords", "too_few_words", 2, 3),
        ("Here is LOREM IPSUM dolor.", "placeholder_text", None, None),
        ("ab 12 34 56 c", "too_few_letters", 3 / 9, 0.5),
        ("a b c d e f g h i.", "words_too_short", 10 / 9, 1.6),
        (f"{'a' * 34} is long.", "words_too_long", 41 / 3, 12.0),
        ("one 11 words 2 to 3.", "too_few_words_with_letters", 0.5, 0.6),
        ("the # word... of ## letters.", "too_many_symbols", 0.5, 0.4),
        ("Sentences without any.", "too_few_stop_words", 0, 1),
        ("- the one\n* the other\nAnd a third.", "too_many_bullets", 2 / 3, 0.6),
        ("the first of several lines...\nthe second of several lines", "too_many_ellipses", 0.5, 0.4),
        ("the first of several lines\nthe second of several lines", "too_few_sentences", 0.0, 0.25),
        ("the x y.\n" * 2 + "\n" + "the x y.\n" * 2, "too_many_repeated_lines", 0.75, 0.5),
        ("the x.\ny z.\n\nthe x.\ny z.\n\nv w.", "too_many_repeated_paragraphs", 11 / 26, 0.3),
        ("The spam and eggs " + "spam " * 96 + "end.", "too_repetitive", 0.04, 0.3),
        ("the spam or the spam is the spam so the spam yes.", "one_pair_too_often", 8 / 12, 0.6),
        (f"{TEN} {TEN} {TEN} the end.", "too_many_repeated_runs", 20 / 32, 0.5),
        ("A sentence of several words.", None, None, None),
    ],
)
def test_each_rule_names_the_failure_its_score_and_its_threshold(
    text: str, rule: str | None, score: float | None, threshold: float | None
) -> None:
    thresholds = THRESHOLDS.model_copy(update={"max_repeated_paragraph_ratio": 0.3})
    found = first_failure(text, "en", thresholds)
    if rule is None or found is None:
        assert found is rule
    else:
        assert (found.rule, found.threshold) == (rule, threshold)
        assert found.score == pytest.approx(score, abs=1e-9)


def test_every_rule_is_seen_to_fail_above() -> None:
    (mark,) = test_each_rule_names_the_failure_its_score_and_its_threshold.pytestmark
    assert {case[1] for case in mark.args[1]} - {None} == {rule.__name__ for rule in FILTERS}


def test_an_empty_text_fails_without_dividing_by_zero() -> None:
    found = [rule(FilterInput("", "en"), THRESHOLDS) for rule in FILTERS]
    assert {"too_short", "too_few_words", "too_few_letters", "too_repetitive"} <= {drop.rule for drop in found if drop}


def test_repetition_does_not_depend_on_length() -> None:
    paragraph = " ".join(f"word{number % 50}" for number in range(100))
    config = configure_filters(min_distinct_word_ratio=0.3)
    assert first_failure(paragraph, "en", config) is None
    assert first_failure(" ".join([paragraph] * 20), "en", config) is None


def test_letters_of_any_script_are_letters() -> None:
    assert first_failure("это предложение на русском.", "ru", THRESHOLDS) is None


def test_a_chinese_character_is_a_word_and_english_stop_words_are_not_asked_for() -> None:
    text = "今天天气很好\uff0c我们去公园散步。"
    config = THRESHOLDS.model_copy(update={"min_words": 10})
    assert first_failure(text, "zh", config) is None
    failure = first_failure(text, "zh", config.model_copy(update={"min_words": 20}))
    assert failure is not None
    assert (failure.rule, failure.score) == ("too_few_words", 15)


@pytest.mark.parametrize(
    ("text", "length"), [("中中中 ab", None), ("中\uff0c abcd", 4.0), ("", 0.0), ("abc 中中 d", 2.0), ("ab c", 1.5)]
)
def test_words_have_a_length_where_most_of_a_text_separates_them(text: str, length: float | None) -> None:
    assert FilterInput(text, "zh").mean_word_length == length


@given(st.lists(st.sampled_from("abc"), max_size=60))
def test_repeated_runs_count_each_word_once(words: list[str]) -> None:
    covered = set()
    for start in range(len(words) - 9):
        if any(words[start : start + 10] == words[before : before + 10] for before in range(start)):
            covered |= set(range(start, start + 10))
    config = configure_filters(max_repeated_run_ratio=0.0)
    failure = too_many_repeated_runs(FilterInput(" ".join(words), "en"), config)
    assert (failure.score if failure else 0.0) == pytest.approx(len(covered) / max(len(words), 1))
