"""Linear classifiers on weighted word or character n-grams: strong baselines for short texts.

Source: Wang and Manning (2012), "Baselines and Bigrams: Simple, Good Sentiment and Topic Classification",
https://aclanthology.org/P12-2018. Case is kept: it tells code from prose and names from words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lmcore.config.evaluate import CharacterNgramsConfig, LinearConfig, WordNgramsConfig
from lmcore.errors import UserError
from lmcore.evaluation.intervals import Floats
from lmcore.evaluation.names import BAG_OF_WORDS, CHARACTER_NGRAMS
from lmcore.text.words.segmentation import WORD_OR_CHARACTER

N_BUCKETS = 1 << 20
"""Number of feature columns; each n-gram of characters is assigned to one by its hash."""
MIXER = np.uint64(0x9E3779B97F4A7C15)

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
    """Predict labels with two linear support vector machines, on n-grams of words and on n-grams of characters.

    Args:
        training: texts and labels to train on.
        validation: texts and labels that select the regularization (on ties the strongest).
        texts: texts to predict the labels of.
        config: the n-grams and the regularizations to try.

    Returns:
        predictions under the keys ``bag_of_words`` and ``character_ngrams``.
    """
    parts = (training[0], validation[0], texts)
    features = {
        BAG_OF_WORDS: _word_features(parts, config.words),
        CHARACTER_NGRAMS: _character_features(parts, config.characters),
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


def _word_features(parts: tuple[Sequence[str], ...], config: WordNgramsConfig) -> list[Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        ngram_range=(1, config.longest),
        max_features=config.max_features,
        sublinear_tf=True,
        lowercase=False,
        token_pattern=WORD_OR_CHARACTER.pattern,
    )
    return [vectorizer.fit_transform(parts[0]), *(vectorizer.transform(part) for part in parts[1:])]


def _character_features(parts: tuple[Sequence[str], ...], config: CharacterNgramsConfig) -> list[Any]:
    from sklearn.feature_extraction.text import TfidfTransformer

    counted = [_count_characters([text[: config.max_characters] for text in part], config) for part in parts]
    weighting = TfidfTransformer(sublinear_tf=True).fit(counted[0])
    return [weighting.transform(part) for part in counted]


def _count_characters(texts: Sequence[str], config: CharacterNgramsConfig) -> Any:
    """Count the n-grams of characters in each text: a sparse matrix (n_texts, N_BUCKETS).

    All texts are counted at once in whole arrays: scikit-learn's own vectorizers build every n-gram as a string, which
    takes six times as long.
    """
    from scipy.sparse import csr_matrix

    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    owners = np.repeat(np.arange(len(texts)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(codes))  # characters until the end of the text
    hashes, keys = np.zeros(len(codes), np.uint64), [np.empty(0, np.int64)]
    for length in range(1, config.longest + 1):
        following = np.zeros_like(codes)
        following[: max(len(codes) - length + 1, 0)] = codes[length - 1 :]
        hashes = (hashes ^ following) * MIXER
        hashes ^= hashes >> np.uint64(29)
        if length >= config.shortest:
            is_whole = left >= length
            keys.append(owners[is_whole] * N_BUCKETS + _bucket(hashes[is_whole]))
    found, counts = np.unique(np.concatenate(keys), return_counts=True)
    rows, columns = np.divmod(found, N_BUCKETS)
    starts = np.searchsorted(rows, np.arange(len(texts) + 1))
    return csr_matrix((counts.astype(np.float64), columns, starts), shape=(len(texts), N_BUCKETS))


def _bucket(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    return ((hashes * MIXER) >> np.uint64(64 - N_BUCKETS.bit_length() + 1)).astype(np.int64)
