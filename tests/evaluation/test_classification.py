import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from lmcore.evaluation import classification
from lmcore.evaluation.baselines import bag_of_words, first_sentence, majority_class
from lmcore.evaluation.bootstrap import Bootstrap
from lmcore.evaluation.classification import ClassificationMeasures, accuracy_difference
from lmcore.evaluation.config import BagOfWordsConfig, BootstrapConfig

BOOTSTRAP = BootstrapConfig(n_resamples=400, confidence=0.95)


def random_predictions(seed: int, n_items: int, n_classes: int, skill: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    actual = generator.choice(n_classes, n_items, p=np.arange(1, n_classes + 1) / sum(range(1, n_classes + 1)))
    guessed = generator.integers(0, n_classes, n_items)
    return actual, np.where(generator.random(n_items) < skill, actual, guessed)


@pytest.mark.parametrize(("n_items", "skill"), [(300, 0.7), (5, 0.0), (40, 1.0)])
def test_accuracy_macro_f1_and_confusions_are_those_of_scikit_learn(n_items, skill):
    actual, predicted = random_predictions(1, n_items, 6, skill)
    measures = ClassificationMeasures.of(actual, predicted, 6, Bootstrap(n_items, BOOTSTRAP, seed=0))
    assert measures.accuracy.value == pytest.approx(accuracy_score(actual, predicted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes that are never predicted
        assert measures.macro_f1.value == pytest.approx(f1_score(actual, predicted, average="macro"))
    ours = classification.confusion_matrix(actual, predicted, 6)
    np.testing.assert_array_equal(ours, confusion_matrix(actual, predicted, labels=range(6)))


def test_the_interval_of_the_macro_f1_is_that_of_scikit_learn_over_drawn_samples():
    actual, predicted = random_predictions(2, 200, 4, 0.6)
    estimate = ClassificationMeasures.of(actual, predicted, 4, Bootstrap(200, BOOTSTRAP, seed=0)).macro_f1
    generator = np.random.default_rng(3)
    drawn = [generator.integers(0, 200, 200) for _ in range(150)]
    scores = [f1_score(actual[sample], predicted[sample], average="macro") for sample in drawn]
    expected = np.quantile(scores, [0.025, 0.975])
    np.testing.assert_allclose([estimate.low, estimate.high], expected, atol=0.02)


def test_the_difference_to_a_reference_is_that_of_the_accuracies():
    actual, better = random_predictions(4, 500, 5, 0.8)
    worse = np.roll(better, 1)
    estimate = accuracy_difference(actual, better, worse, Bootstrap(500, BOOTSTRAP, seed=0))
    assert estimate.value == pytest.approx(accuracy_score(actual, better) - accuracy_score(actual, worse))
    assert 0 < estimate.low < estimate.value < estimate.high


def test_the_majority_class_is_the_commonest_and_among_equals_the_first_in_the_alphabet():
    assert majority_class(["b", "a", "b", "c"], 2) == ["b", "b"]
    assert majority_class(["c", "b", "b", "c"], 1) == ["b"]


def test_the_bag_of_words_learns_words_that_tell_classes_apart():
    texts = [f"the tensor {n} on device" for n in range(20)] + [f"the table {n} in database" for n in range(20)]
    labels = ["torch"] * 20 + ["sqlalchemy"] * 20
    config = BagOfWordsConfig(max_features=100, longest_phrase_words=2, inverse_regularization=10.0, max_iterations=200)
    new = ["move the tensor", "drop a table of the database"]
    assert bag_of_words(texts, labels, new, config) == ["torch", "sqlalchemy"]


def test_the_bag_of_words_learns_characters_where_no_space_stands_between_words():
    texts = [f"我们今天{n}去公园散步" for n in range(20)] + [f"老师明天{n}给学生考试" for n in range(20)]
    labels = ["park"] * 20 + ["school"] * 20
    config = BagOfWordsConfig(max_features=100, longest_phrase_words=2, inverse_regularization=10.0, max_iterations=200)
    assert bag_of_words(texts, labels, ["学生都来了", "在公园里走"], config) == ["school", "park"]


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
def test_the_first_sentence_ends_at_a_full_stop_or_an_empty_line(text, sentence):
    assert first_sentence(text) == sentence
