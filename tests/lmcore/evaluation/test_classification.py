import warnings

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from lmcore.config.evaluate import BootstrapConfig, CharacterNgramsConfig, LinearConfig
from lmcore.evaluation import classification, linear
from lmcore.evaluation.baselines import first_sentence, majority_class
from lmcore.evaluation.classification import ClassificationMeasures
from lmcore.evaluation.intervals import Bootstrap
from lmcore.evaluation.linear import linear_predictions, strongest

BOOTSTRAP = BootstrapConfig(num_resamples=400, confidence=0.95)


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


def test_classes_that_are_never_predicted_count_as_wrong():
    actual, predicted = np.array([0, 0, 1, 2]), np.array([0, 0, 1, 1])
    measures = ClassificationMeasures.of(actual, predicted, 3, Bootstrap(4, BOOTSTRAP, seed=0))
    assert measures.accuracy.value == 0.75
    assert measures.macro_f1.value == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_the_majority_class_is_the_commonest_and_among_equals_the_first_in_the_alphabet():
    assert majority_class(["b", "a", "b", "c"], 2) == ["b", "b"]
    assert majority_class(["c", "b", "b", "c"], 1) == ["b"]


LINEAR = LinearConfig.model_validate(
    {
        "words": {"longest": 2, "max_features": 1000},
        "characters": {"shortest": 2, "longest": 5, "max_characters": 1000},
        "inverse_regularization": (0.01, 1.0),
        "max_iterations": 1000,
    }
)


@pytest.mark.parametrize(
    ("texts", "new"),
    [
        (["the tensor {} on device", "the table {} in database"], ["move the tensor", "drop a table of the database"]),
        (["我们今天{}去公园散步", "老师明天{}给学生考试"], ["在公园里走", "学生都来了"]),
    ],
)
def test_linear_models_learn_what_tells_classes_apart_in_any_script(texts, new):
    examples = [(text.format(n), str(label)) for n in range(20) for label, text in enumerate(texts)]
    training = tuple(zip(*examples, strict=True))
    predictions = linear_predictions(training, training, new, LINEAR)
    assert {name: found.labels for name, found in predictions.items()} == {
        "bag_of_words": ["0", "1"],
        "character_ngrams": ["0", "1"],
    }


def test_n_grams_of_characters_are_counted_as_by_scikit_learn():
    texts = ["naïve cafés", "", "a", "aaaa aaaa", "数据 data\n\tx"]
    config = CharacterNgramsConfig(shortest=2, longest=4, max_characters=100)
    ours = linear._count_characters(texts, config)
    theirs = CountVectorizer(analyzer="char", ngram_range=(2, 4), lowercase=False).fit_transform(
        # scikit-learn takes several spaces for one.
        texts[:4]
    )
    for row in range(4):
        assert sorted(ours[row].data) == sorted(theirs[row].data)
    assert ours[4].sum() == 9 + 8 + 7


def test_regularization_and_features_are_chosen_on_validation():
    generator = np.random.default_rng(0)
    # Words tell nothing, their endings all.
    texts = [
        " ".join(f"{generator.integers(10**6)}{ending}" for _ in range(6))
        for _ in range(60)
        for ending in ("ing", "ed")
    ]
    labels = ["gerund", "past"] * 60
    parts = [(texts[start : start + 40], labels[start : start + 40]) for start in (0, 40, 80)]
    predictions = linear_predictions(parts[0], parts[1], parts[2][0], LINEAR)
    assert strongest(predictions) == "character_ngrams"
    found = predictions["character_ngrams"]
    assert found.validation_accuracy == 1.0
    assert found.labels == parts[2][1]


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
