import numpy as np
import pytest

from lmcore.config.evaluate import LinearConfig
from lmcore.evaluation.linear import linear_predictions, strongest

LINEAR = LinearConfig.model_validate(
    {
        "words": {"longest": 2, "max_features": 1000},
        "characters": {"shortest": 2, "longest": 5, "max_characters": 1000},
        "endings": {"shortest": 1, "longest": 4, "max_characters": 10},
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
def test_linear_classifiers_separate_classes_in_any_script(texts, new):
    examples = [(text.format(n), str(label)) for n in range(20) for label, text in enumerate(texts)]
    training = tuple(zip(*examples, strict=True))
    predictions = linear_predictions(training, training, new, LINEAR)
    assert {name: found.labels for name, found in predictions.items()} == {
        "bag_of_words": ["0", "1"],
        "character_ngrams": ["0", "1"],
        "ending_character_ngrams": predictions["ending_character_ngrams"].labels,
    }


def test_the_last_characters_tell_whether_a_text_ends_with_a_period():
    generator = np.random.default_rng(1)
    texts = [" ".join(generator.choice(["go", "go.", "on", "on."], 40)) for _ in range(300)]
    labels = ["end" if text.endswith(".") else "cut" for text in texts]
    predictions = linear_predictions((texts[:200], labels[:200]), (texts[200:], labels[200:]), texts[200:], LINEAR)
    assert strongest(predictions) == "ending_character_ngrams"
    assert predictions["ending_character_ngrams"].labels == labels[200:]


def test_regularization_and_features_are_selected_on_the_validation_split():
    generator = np.random.default_rng(0)
    # The words are random; only their endings depend on the class.
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
