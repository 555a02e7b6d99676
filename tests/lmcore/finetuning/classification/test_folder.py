"""What the model folder of a classifier keeps."""

from pathlib import Path

import numpy as np
import pytest

from lmcore.finetuning.classification.folder import load_classifier, save_classifier
from lmcore.finetuning.classification.prediction import predict
from lmcore.models.families import build_model
from lmcore.models.folder import save_language_model
from tests.lmcore.finetuning.classification.small_classifiers import (
    TOKENIZER,
    make_classifier,
    make_ensemble,
)
from tests.lmcore.models.small_models import GPT_CONFIG


def test_a_folder_keeps_the_labels_in_their_order_and_what_of_a_text_is_read(tmp_path: Path) -> None:
    save_classifier(tmp_path / "model", make_classifier(truncation_side="left", pooling="last"), TOKENIZER, {})
    loaded, _ = load_classifier(tmp_path / "model")
    assert (loaded.labels, loaded.max_tokens) == (("numpy", "scipy"), 5)
    assert (loaded.truncation_side, loaded.pooling) == ("left", "last")


def test_a_folder_of_a_language_model_is_refused(tmp_path: Path) -> None:
    save_language_model(tmp_path / "model", build_model(GPT_CONFIG, TOKENIZER.vocabulary), TOKENIZER, {})
    with pytest.raises(ValueError, match="holds a language model, not a classifier"):
        load_classifier(tmp_path / "model")


def test_a_folder_keeps_an_ensemble(tmp_path: Path) -> None:
    classifier, _ = make_ensemble()
    save_classifier(tmp_path / "model", classifier, TOKENIZER, {})
    loaded, _ = load_classifier(tmp_path / "model")
    assert len(loaded.members) == 3
    np.testing.assert_array_equal(predict(loaded, TOKENIZER, ["abc"]), predict(classifier, TOKENIZER, ["abc"]))
