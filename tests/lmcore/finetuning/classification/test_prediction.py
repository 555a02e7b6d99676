"""Which tokens of a text a classifier reads, and the labels that it chooses."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lmcore.finetuning.classification.folder import load_classifier, save_classifier
from lmcore.finetuning.classification.prediction import chosen_labels, encode_for_classifier, predict, predict_logits
from tests.lmcore.finetuning.classification.small_classifiers import (
    TOKENIZER,
    make_classifier,
    make_multi_label,
)


@pytest.mark.parametrize("text", ["", "abc", "a long text"])
def test_a_text_is_its_first_or_last_tokens_after_an_end_token(text: str) -> None:
    for classifier, expected in (
        (make_classifier(), text[:4]),
        (make_classifier(truncation_side="left"), text[-4:]),
    ):
        tokens = encode_for_classifier(classifier, TOKENIZER, text)
        assert tokens[0] == TOKENIZER.vocabulary.end_of_text_id
        assert TOKENIZER.decode(tokens[1:]) == expected


def test_the_temperature_divides_the_logits_and_stays_in_the_folder(tmp_path: Path) -> None:
    classifier = make_multi_label(temperature=2.5)
    save_classifier(tmp_path / "model", classifier, TOKENIZER, {})
    loaded, tokenizer = load_classifier(tmp_path / "model")
    assert (loaded.problem_type, loaded.temperature) == ("multi_label_classification", 2.5)
    texts = ["abc", "xyz", ""]
    found = predict(loaded, tokenizer, texts)
    expected = torch.from_numpy(predict_logits(classifier, TOKENIZER, texts) / 2.5).sigmoid().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    chosen = chosen_labels(loaded, found)
    assert chosen == [tuple(np.array(["a", "b", "c"])[row >= 0.5]) for row in found]


def test_one_label_is_the_most_probable_one() -> None:
    classifier = make_classifier()
    assert chosen_labels(classifier, np.array([[0.2, 0.8], [0.6, 0.4]])) == [("scipy",), ("numpy",)]
