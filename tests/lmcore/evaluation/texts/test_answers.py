import pytest

from lmcore.evaluation.texts.answers import answer_metrics, final_answers, token_f1


@pytest.mark.parametrize(
    ("text", "reference", "f1"),
    [
        ("The Eiffel Tower!", "eiffel tower", 1.0),
        ("in the year 1998", "1998", 2 * (1 / 3) / (1 + 1 / 3)),
        ("a cat a cat", "cat", 2 * (1 / 2) / (1 + 1 / 2)),
        ("", "", 1.0),
        ("the", "", 1.0),
        ("", "cat", 0.0),
        ("公园散步", "公园", 2 * (2 / 4) / (1 + 2 / 4)),
    ],
)
def test_token_f1_counts_the_words_that_two_answers_share(text, reference, f1):
    assert token_f1(text, reference) == pytest.approx(f1)
    assert token_f1(reference, text) == pytest.approx(f1)


def test_exact_matches_are_a_proportion_of_the_texts():
    metrics = answer_metrics(["A dog", "cats", "fish."], ["dog.", "cat", "Fish"])
    assert metrics["exact_match"].value == pytest.approx(2 / 3)
    assert metrics["token_f1"].value == pytest.approx(2 / 3)
    assert "articles:no" in metrics["exact_match"].signature


def test_the_final_answer_follows_the_last_separator_however_a_tokenizer_writes_it():
    texts = [
        "Mary got it. Answer: n, w",
        "mary got it . answer : apple",
        "Answer: a. Answer:\nb",
        "no reasons",
        "answer :",
    ]
    assert final_answers(texts, "Answer:") == ["n, w", "apple", "b", "no reasons", ""]
    assert final_answers(["what is (x)? # y"], "(x)? #") == ["y"]
    assert final_answers(texts, None) == texts
