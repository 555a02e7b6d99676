import pytest

from lmcore.evaluation.texts.style import n_grams, style_metrics


def test_n_grams_are_all_runs_of_words():
    assert n_grams(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]
    assert n_grams(["a"], 2) == []


def test_length_variety_and_repetition_of_texts():
    metrics = style_metrics(["a b a b", "a c"], ["x y z", ""])
    assert metrics["length_ratio"].value == pytest.approx(6 / 3)
    assert metrics["distinct_1"].value == pytest.approx(3 / 6)
    assert metrics["distinct_2"].value == pytest.approx(3 / 4)
    assert metrics["repetition"].value == 0.0


def test_a_loop_is_repetition_and_the_same_run_in_two_texts_is_not():
    loop = style_metrics(["go on and on go on and on go on and on"], ["x"])["repetition"]
    assert loop.value == pytest.approx(5 / 9)
    twice = style_metrics(["one two three four"] * 2, ["x"] * 2)["repetition"]
    assert twice.value == 0.0


def test_empty_texts_have_no_words():
    metrics = style_metrics(["", ""], ["a", "b"])
    assert {name: metric.value for name, metric in metrics.items()} == {
        "length_ratio": 0,
        "distinct_1": 0,
        "distinct_2": 0,
        "repetition": 0,
    }
