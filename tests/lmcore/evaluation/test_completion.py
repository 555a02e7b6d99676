import pytest

from lmcore.evaluation.completion import first_sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Return the sum. Then more.", "Return the sum."),
        ("One line\nand another\n\nA paragraph", "One line and another"),
        ("Version 3.11 is out! Yes.", "Version 3.11 is out!"),
        ("  no end at all", "no end at all"),
        ("A name (e.g. an id) of it. More.", "A name (e.g. an id) of it."),
        ("今天下雨。明天不下。", "今天下雨。"),
        ("", ""),
    ],
)
def test_the_first_sentence_ends_at_a_full_stop_or_a_blank_line(text, sentence):
    assert first_sentence(text) == sentence
