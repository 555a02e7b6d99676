import pytest

from lmcore.finetuning.completion.answers import normalize_answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The garden.", "garden"),
        ("the garden .", "garden"),
        ("  An  apple, a day ", "apple day"),
        ("n, w", "n w"),
        ("  The  quick-brown Fox, an animal. ", "quickbrown fox animal"),
        ("theatre", "theatre"),
        ("", ""),
    ],
)
def test_case_punctuation_articles_and_white_space_do_not_count(text: str, expected: str) -> None:
    assert normalize_answer(text) == expected
