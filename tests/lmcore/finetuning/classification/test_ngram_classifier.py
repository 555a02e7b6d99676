"""The classifier of n-grams is scikit-learn's, complements the network, and stays in the model folder."""

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from lmcore.config.classification import NgramClassifierConfig
from lmcore.finetuning.classification.ngram_classifier import NgramClassifier

CONFIG = NgramClassifierConfig(longest=2, num_buckets=1 << 20, max_tokens=50, inverse_regularization=1.0)
RANDOM = np.random.default_rng(0)


def texts_of(n_classes: int, n_texts: int) -> tuple[list[list[int]], np.ndarray]:
    """Random tokens of which those of a text's class are more frequent."""
    classes = RANDOM.integers(n_classes, size=n_texts)
    tokens = [[int(token) for token in RANDOM.integers(1, 9, 12) + 5 * own] for own in classes]
    return tokens, classes


def reference(training: Sequence[Sequence[int]], targets: np.ndarray, texts: Sequence[Sequence[int]]) -> np.ndarray:
    """The distances by scikit-learn alone, with a column per n-gram instead of hashes."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\d+")
    as_text = [[" ".join(map(str, own)) for own in part] for part in (training, texts)]
    machine = LinearSVC(C=1.0, random_state=0)
    machine = machine if targets.ndim == 1 else OneVsRestClassifier(machine)
    machine.fit(vectorizer.fit_transform(as_text[0]), targets)
    return np.asarray(machine.decision_function(vectorizer.transform(as_text[1])))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_its_distances_for_one_label_are_those_of_scikit_learn(n_classes: int) -> None:
    tokens, classes = texts_of(n_classes, 60)
    ngrams = NgramClassifier(CONFIG, n_classes)
    ngrams.fit(tokens[:40], np.eye(n_classes, dtype=bool)[classes[:40]], is_multi_label=False)
    expected = reference(tokens[:40], classes[:40], tokens[40:])
    expected = np.stack((-expected, expected), axis=1) if n_classes == 2 else expected
    np.testing.assert_allclose(ngrams.distances(tokens[40:]), expected, atol=2e-3)


def test_its_distances_for_any_number_of_labels_are_those_of_scikit_learn() -> None:
    tokens, classes = texts_of(3, 60)
    presence = np.stack((classes > 0, classes == 2, np.ones(60, bool)), axis=1)
    ngrams = NgramClassifier(CONFIG, 3)
    ngrams.fit(tokens[:40], presence[:40], is_multi_label=True)
    found = ngrams.distances(tokens[40:])
    np.testing.assert_allclose(found[:, :2], reference(tokens[:40], presence[:40, :2], tokens[40:]), atol=2e-3)
    assert (found[:, 2] > 0).all()  # every training text has the label


def test_class_weights_move_the_boundary_towards_the_other_class() -> None:
    tokens, classes = texts_of(2, 40)
    presence = np.eye(2, dtype=bool)[classes]
    found = []
    for weights in (None, [1.0, 20.0]):
        ngrams = NgramClassifier(CONFIG, 2)
        ngrams.fit(tokens, presence, is_multi_label=False, class_weights=weights)
        found.append(ngrams.distances(tokens)[:, 1].mean())
    assert found[1] > found[0]
