import numpy as np

from lmcore.evaluation.multi_label_baselines import multi_label_baselines
from lmcore.evaluation.names import BAG_OF_WORDS, LABEL_FREQUENCIES
from tests.lmcore.evaluation.evaluation_settings import CONFIG

RANDOM = np.random.default_rng(0)
WORDS = np.array(["alpha", "beta", "gamma"])
LINEAR = CONFIG.classification.linear


def texts_with_labels(n_texts: int) -> tuple[list[str], np.ndarray]:
    """Texts that name their labels among other words."""
    has_label = RANDOM.random((n_texts, 3)) < (0.5, 0.3, 0.1)
    return [" ".join(["the text", *WORDS[row], f"n{index % 7}"]) for index, row in enumerate(has_label)], has_label


def test_words_that_tell_the_labels_are_found_and_frequencies_do_not_depend_on_the_text() -> None:
    training, validation, test = (texts_with_labels(size) for size in (120, 30, 40))
    found = multi_label_baselines(training, validation, test[0], LINEAR)
    np.testing.assert_array_equal(found.probabilities[BAG_OF_WORDS] >= 0.5, test[1])
    assert found.validation[BAG_OF_WORDS] == 1.0
    assert found.strongest == BAG_OF_WORDS
    np.testing.assert_allclose(found.probabilities[LABEL_FREQUENCIES], np.tile(training[1].mean(axis=0), (40, 1)))


def test_a_label_on_all_or_none_of_the_texts_is_predicted_so() -> None:
    texts, has_label = texts_with_labels(30)
    has_label[:, 0], has_label[:, 2] = True, False
    found = multi_label_baselines((texts, has_label), (texts[:5], has_label[:5]), texts, LINEAR)
    assert (found.probabilities[BAG_OF_WORDS][:, 0] > 0.999).all()
    assert (found.probabilities[BAG_OF_WORDS][:, 2] < 0.001).all()
