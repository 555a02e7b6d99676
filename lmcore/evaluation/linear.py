"""Linear classifiers on weighted word or character n-grams: strong baselines for short texts.

Source: Wang and Manning (2012), "Baselines and Bigrams: Simple, Good Sentiment and Topic Classification",
https://aclanthology.org/P12-2018.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmcore.config.evaluate import LinearConfig
from lmcore.errors import UserError
from lmcore.evaluation.intervals import Floats
from lmcore.evaluation.names import BAG_OF_WORDS, CHARACTER_NGRAMS, ENDINGS
from lmcore.evaluation.ngram_features import character_features, ending_features, word_features

Texts = tuple[Sequence[str], Sequence[str]]
"""Texts and the label of each."""


@dataclass(frozen=True)
class LinearPrediction:
    """The predictions of a linear classifier.

    Attributes:
        labels: the predicted label of each text.
        scores: the distance of each text from the boundary of each class, (n_texts, n_classes), in the order of the
            sorted labels.
        inverse_regularization: the setting with the highest accuracy on the validation texts.
        validation_accuracy: the accuracy on the validation texts with that setting.
    """

    labels: list[str]
    scores: Floats
    inverse_regularization: float
    validation_accuracy: float


def linear_predictions(
    training: Texts, validation: Texts, texts: Sequence[str], config: LinearConfig
) -> dict[str, LinearPrediction]:
    """Predict labels with linear support vector machines: on n-grams of words, of characters, of the last characters.

    Args:
        training: texts and labels to train on.
        validation: texts and labels that select the regularization (on ties the strongest).
        texts: texts to predict the labels of.
        config: the n-grams and the regularizations to try.

    Returns:
        predictions under the keys ``bag_of_words``, ``character_ngrams`` and ``ending_character_ngrams``.
    """
    parts = (training[0], validation[0], texts)
    features = {
        BAG_OF_WORDS: word_features(parts, config.words),
        CHARACTER_NGRAMS: character_features(parts, config.characters),
        ENDINGS: ending_features(parts, config.endings),
    }
    return {name: _predict(found, training[1], validation[1], config) for name, found in features.items()}


def strongest(predictions: Mapping[str, LinearPrediction]) -> str:
    """The name of the baseline with the highest accuracy on the validation texts (on ties the first)."""
    return max(predictions, key=lambda name: predictions[name].validation_accuracy)


def _predict(
    features: Sequence[Any], training_labels: Sequence[str], validation_labels: Sequence[str], config: LinearConfig
) -> LinearPrediction:
    from sklearn.svm import LinearSVC

    training, validation, test = features
    best: tuple[float, float, Any] | None = None
    for strength in sorted(config.inverse_regularization):
        machine = LinearSVC(C=strength, max_iter=config.max_iterations, random_state=0)
        machine.fit(training, training_labels)
        accuracy = float(np.mean(machine.predict(validation) == np.asarray(validation_labels)))
        if best is None or accuracy > best[0]:
            best = accuracy, strength, machine
    if best is None:
        raise UserError("inverse_regularization is empty: the linear classifiers need at least one value to try")
    accuracy, strength, machine = best
    distances = machine.decision_function(test)
    scores = np.stack((-distances, distances), axis=1) if distances.ndim == 1 else distances
    return LinearPrediction([str(label) for label in machine.predict(test)], scores, strength, accuracy)
