"""The classifier of n-grams complements the network, and both stay in the model folder."""

from pathlib import Path

import numpy as np

from lmcore.config.classification import NgramClassifierConfig
from lmcore.finetuning.classification.finishing import calibrate, fit_ngram_classifier
from lmcore.finetuning.classification.folder import load_classifier, save_classifier
from lmcore.finetuning.classification.ngram_classifier import NgramClassifier
from lmcore.finetuning.classification.prediction import network_logits, predict, predict_logits
from tests.lmcore.finetuning.classification.small_classifiers import TOKENIZER, make_classifier, make_multi_label

CONFIG = NgramClassifierConfig(longest=2, num_buckets=1 << 10, max_tokens=50, inverse_regularization=1.0)
WORDS = (("abc", "numpy"), ("bcd", "scipy"))


def test_the_sum_is_calibrated_and_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    examples = [(f"{word} {number}", (label,)) for number in range(20) for word, label in WORDS]
    classifier = make_classifier(ngram_classifier=NgramClassifier(CONFIG, 2)).eval()
    fit_ngram_classifier(classifier, TOKENIZER, examples[:20])
    calibrate(classifier, TOKENIZER, examples[20:])
    texts = [text for text, _ in examples[20:]]
    probabilities = predict(classifier, TOKENIZER, texts)
    chosen = [classifier.labels[index] for index in probabilities.argmax(axis=1)]
    assert chosen == [label for _, (label,) in examples[20:]]
    network = network_logits(classifier, [TOKENIZER.encode(text) for text in texts])
    assert not np.allclose(predict_logits(classifier, TOKENIZER, texts), network)
    save_classifier(tmp_path / "model", classifier, TOKENIZER, {})
    loaded, tokenizer = load_classifier(tmp_path / "model")
    np.testing.assert_array_equal(predict(loaded, tokenizer, texts), probabilities)


def test_without_it_the_logits_are_those_of_the_network() -> None:
    classifier = make_multi_label()
    fit_ngram_classifier(classifier, TOKENIZER, [("abc", ())])
    np.testing.assert_array_equal(
        predict_logits(classifier, TOKENIZER, ["abc"]), network_logits(classifier, [TOKENIZER.encode("abc")])
    )
