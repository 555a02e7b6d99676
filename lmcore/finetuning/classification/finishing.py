"""What follows the training of a classifier's network: the classifier of n-grams, and calibration."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lmcore.finetuning.classification.calibration import fit_calibration
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.examples import LabeledText
from lmcore.finetuning.classification.prediction import network_logits, ngram_tokens
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


def fit_ngram_classifier(classifier: Classifier, tokenizer: Tokenizer, training: Sequence[LabeledText]) -> None:
    """Train the classifier of n-grams, if there is one, on the network's training texts."""
    if classifier.ngram_classifier is None:
        return
    weights = classifier.class_weights
    classifier.ngram_classifier.fit(
        ngram_tokens(classifier, [tokenizer.encode(text) for text, _ in training]),
        _presence(classifier, training),
        is_multi_label=classifier.is_multi_label,
        class_weights=None if weights is None else weights.tolist(),
    )


def calibrate(classifier: Classifier, tokenizer: Tokenizer, validation: Sequence[LabeledText]) -> None:
    """Set the temperature, the bias and the scale of the classifier of n-grams, if there is one, to the values that
    make the labels of the validation texts most likely."""
    texts = [tokenizer.encode(text) for text, _ in validation]
    presence = _presence(classifier, validation)
    parts, ngrams = [network_logits(classifier, texts)], classifier.ngram_classifier
    if ngrams is not None:
        parts.append(ngrams.distances(ngram_tokens(classifier, texts)))
    found = fit_calibration(parts, presence if classifier.is_multi_label else presence.argmax(axis=1))
    classifier.temperature, classifier.bias = found.temperature, found.bias
    if ngrams is not None:
        ngrams.scale.fill_(found.scales[0])


def _presence(classifier: Classifier, examples: Sequence[LabeledText]) -> npt.NDArray[np.bool_]:
    """Which labels each example has, (n_examples, n_labels)."""
    return np.array([[label in found for label in classifier.labels] for _, found in examples], bool)
