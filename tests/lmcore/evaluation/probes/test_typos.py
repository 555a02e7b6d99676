import numpy as np
import pytest

from lmcore.config.evaluate import BootstrapConfig
from lmcore.evaluation.probes.typos import probe_accuracy, probe_likelihood, with_typos

BOOTSTRAP = BootstrapConfig(num_resamples=200, confidence=0.95)
TEXT = "Return the mean of an array along the given axis, ignoring missing values. " * 20


def test_errors_are_as_frequent_as_asked_and_touch_only_letters():
    assert with_typos(TEXT, 0.0, 1) == TEXT
    noisy = with_typos(TEXT, 0.1, 1)
    assert noisy == with_typos(TEXT, 0.1, 1) != with_typos(TEXT, 0.1, 2)
    words, others = TEXT.split(" "), noisy.split(" ")
    changed = np.mean([word != other for word, other in zip(words, others, strict=True)])
    assert changed == pytest.approx(1 - np.mean([0.9 ** len(word) for word in words]), abs=0.1)
    assert [c for c in noisy if not c.isalnum()] == [c for c in TEXT if not c.isalnum()]


def test_bits_are_per_byte_of_the_text_with_errors():
    def score(texts):
        return np.array([-np.log(2) * 3.0 * len(text) for text in texts])

    probe = probe_likelihood(score, [TEXT, "Naïve text."], (0.1,), seed=0, bootstrap=BOOTSTRAP)
    assert [row.conditions for row in probe.rows] == [("0 % of the letters",), ("10 % of the letters",)]
    assert probe.rows[0].estimate.value == pytest.approx(3.0 * (len(TEXT) + 11) / (len(TEXT) + 12))


def test_a_classifier_that_looks_for_a_word_loses_accuracy_with_the_rate():
    texts = [f"document {number} of the alpha kind" for number in range(60)]

    def predict(noisy):
        return ["a" if "alpha" in text else "b" for text in noisy]

    probe = probe_accuracy(predict, texts, ["a"] * 60, (0.05, 0.3), seed=0, confidence=0.95)
    rates = [row.estimate.value for row in probe.rows]
    assert rates[0] == 1.0
    assert rates[0] > rates[1] > rates[2]
