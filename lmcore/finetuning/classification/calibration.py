"""What follows the training of a classifier's network: the classifier of n-grams, and calibration."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.examples import LabeledText
from lmcore.finetuning.classification.prediction import network_logits, ngram_tokens
from lmcore.finetuning.classification.temperature import fit_scale, fit_temperature
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
    """Set the temperature, and the scale of the classifier of n-grams if there is one, to the values that make the
    labels of the validation texts most likely."""
    texts = [tokenizer.encode(text) for text, _ in validation]
    presence = _presence(classifier, validation)
    actual = presence if classifier.is_multi_label else presence.argmax(axis=1)
    logits = network_logits(classifier, texts)
    if (ngrams := classifier.ngram_classifier) is not None:
        read = ngram_tokens(classifier, texts)
        ngrams.scale.fill_(fit_scale(logits, ngrams.distances(read), actual))
        logits = logits + ngrams.logits(read)
    classifier.temperature = fit_temperature(logits, actual)


def _presence(classifier: Classifier, examples: Sequence[LabeledText]) -> npt.NDArray[np.bool_]:
    """Which labels each example has, (n_examples, n_labels)."""
    return np.array([[label in found for label in classifier.labels] for _, found in examples], bool)
