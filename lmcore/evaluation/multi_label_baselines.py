"""Baselines of a multi-label classifier: linear classifiers, one per label, and the labels' frequencies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from lmcore.config.evaluate import LinearConfig
from lmcore.errors import UserError
from lmcore.evaluation.intervals import Flags, Floats
from lmcore.evaluation.multi_label import THRESHOLD, micro_f1_of
from lmcore.evaluation.names import BAG_OF_WORDS, CHARACTER_NGRAMS, LABEL_FREQUENCIES
from lmcore.evaluation.ngram_features import character_features, word_features
from lmcore.finetuning.classification.calibration import Calibration, fit_calibration

CERTAIN = 10.0
"""The distance of a text from the boundary of a label that all training texts have, or none."""
LabeledTexts = tuple[Sequence[str], Flags]
"""Texts, and which labels each has, bool (n_texts, n_labels)."""


@dataclass(frozen=True)
class MultiLabelBaselines:
    """What the baselines predict.

    Attributes:
        probabilities: by baseline the probability of each label, (n_texts, n_labels).
        validation: micro F1 of each baseline on the validation texts.
    """

    probabilities: dict[str, Floats]
    validation: dict[str, float]

    @property
    def strongest(self) -> str:
        """The baseline with the best micro F1 on the validation texts, on ties the first."""
        return max(self.validation, key=lambda name: self.validation[name])


def multi_label_baselines(
    training: LabeledTexts, validation: LabeledTexts, texts: Sequence[str], config: LinearConfig
) -> MultiLabelBaselines:
    """Predict labels with linear support vector machines, one per label, and with the labels' frequencies.

    Args:
        training: texts and labels to train on.
        validation: texts and labels that calibrate the probabilities, and select the regularization (on ties the
            strongest) and the strongest baseline.
        texts: texts to predict the labels of.
        config: the n-grams and the regularizations to try.
    """
    parts = (training[0], validation[0], texts)
    words = _linear(word_features(parts, config.words), training[1], validation[1], config)
    # Machines on characters take long, so the regularization is selected on words alone.
    chosen = config.model_copy(update={"inverse_regularization": (words.inverse_regularization,)})
    characters = _linear(character_features(parts, config.characters), training[1], validation[1], chosen)
    found = {
        BAG_OF_WORDS: (words.probabilities, words.micro_f1),
        CHARACTER_NGRAMS: (characters.probabilities, characters.micro_f1),
    }
    frequencies = training[1].mean(axis=0)
    constant = np.tile(frequencies, (len(texts), 1))
    found[LABEL_FREQUENCIES] = constant, _micro_f1(validation[1], np.tile(frequencies, (len(validation[0]), 1)))
    return MultiLabelBaselines(
        {name: own for name, (own, _) in found.items()}, {name: value for name, (_, value) in found.items()}
    )


@dataclass(frozen=True)
class _Linear:
    """Probabilities for the texts, micro F1 on the validation texts, and the regularization with the best one."""

    probabilities: Floats
    micro_f1: float
    inverse_regularization: float


def _linear(features: Sequence[Any], actual: Flags, held_out: Flags, config: LinearConfig) -> _Linear:
    """Train machines on the first part of the features, select on the second and predict for the third."""
    training, validation, test = features
    best: _Linear | None = None
    for strength in sorted(config.inverse_regularization):
        by_label = [_distances(training, own, (validation, test), strength, config) for own in actual.T]
        distances = [np.stack(columns, axis=1) for columns in zip(*by_label, strict=True)]
        calibration = fit_calibration(distances[:1], held_out) if len(held_out) else Calibration(1.0, (), 0.0)
        chosen, scores = (expit(calibration.calibrated([own])) for own in distances)
        value = _micro_f1(held_out, chosen)
        if best is None or value > best.micro_f1:
            best = _Linear(scores, value, strength)
    if best is None:
        raise UserError("inverse_regularization is empty: the linear classifiers need at least one value to try")
    return best


def _distances(
    training: Any, actual: Flags, parts: tuple[Any, ...], strength: float, config: LinearConfig
) -> tuple[Floats, ...]:
    """For each part the distance to the boundary of one label, (n_texts,)."""
    from sklearn.svm import LinearSVC

    if actual.all() or not actual.any():
        return tuple(np.full(part.shape[0], CERTAIN if actual.all() else -CERTAIN) for part in parts)
    machine = LinearSVC(C=strength, max_iter=config.max_iterations, random_state=0).fit(training, actual)
    return tuple(machine.decision_function(part) if part.shape[0] else np.empty(0) for part in parts)


def _micro_f1(actual: Flags, probabilities: Floats) -> float:
    return micro_f1_of(actual, probabilities >= THRESHOLD) if len(actual) else 0.0
