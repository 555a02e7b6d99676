import pytest

from lmcore.text.cleaning.config import FilterConfig
from lmcore.text.cleaning.filters import FILTERS, first_failure
from lmcore.text.cleaning.reasons import Reason

THRESHOLDS = FilterConfig(
    min_characters=10,
    min_words=3,
    min_letter_share=0.5,
    max_mean_word_length=12.0,
    max_repeated_line_share=0.5,
    min_distinct_word_share=0.3,
)


@pytest.mark.parametrize(
    ("text", "drop"),
    [
        ("too short", Reason("too_short", 9, 10)),
        ("only twowords", Reason("too_few_words", 2, 3)),
        ("ab 12 34 56 c", Reason("too_few_letters", 3 / 9, 0.5)),
        (f"{'a' * 34} is long", Reason("words_too_long", 40 / 3, 12.0)),
        ("x y z\n" * 2 + "\n" + "x y z\n" * 2, Reason("too_many_repeated_lines", 0.75, 0.5)),
        ("spam and eggs " + "spam " * 97, Reason("too_repetitive", 0.03, 0.3)),
        ("A sentence of several words.", None),
    ],
)
def test_each_rule_names_the_failure_its_score_and_its_threshold(text: str, drop: Reason | None) -> None:
    found = first_failure(text, THRESHOLDS)
    if drop is None or found is None:
        assert found is drop
    else:
        assert (found.rule, found.threshold) == (drop.rule, drop.threshold)
        assert found.score == pytest.approx(drop.score, abs=1e-9)


def test_an_empty_text_fails_without_dividing_by_zero() -> None:
    found = [rule("", THRESHOLDS) for rule in FILTERS]
    assert [drop.rule for drop in found if drop] == ["too_short", "too_few_words", "too_few_letters", "too_repetitive"]


def test_repetition_does_not_depend_on_length() -> None:
    paragraph = " ".join(f"word{number % 50}" for number in range(100))
    assert first_failure(paragraph, THRESHOLDS) is None
    assert first_failure("\n".join([paragraph, paragraph.upper()] * 10).replace("WORD", "W"), THRESHOLDS) is not None
    assert first_failure(" ".join([paragraph] * 20), THRESHOLDS) is None


def test_letters_of_any_script_are_letters() -> None:
    assert first_failure("это предложение на русском", THRESHOLDS) is None
