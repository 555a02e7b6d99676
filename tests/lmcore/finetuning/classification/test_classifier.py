"""The classifier: how a text is encoded, and what its folder keeps; see the tests of the families for predictions."""

from pathlib import Path

import pytest
import torch

from lmcore.config.tokenize import BytePairConfig
from lmcore.finetuning.classification.classifier import (
    Classifier,
    encode_for_classifier,
    load_classifier,
    save_classifier,
)
from lmcore.models.families import build_model
from lmcore.models.folder import save_language_model
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.models.small_models import GPT_CONFIG

TOKENIZER = train_tokenizer(["a"], BytePairConfig(kind="byte_pair", vocabulary_size=259))
"""Every byte is a token."""


def make_classifier() -> Classifier:
    torch.manual_seed(0)
    backbone = build_model(GPT_CONFIG, TOKENIZER.vocabulary)
    return Classifier(backbone, ("numpy", "scipy"), max_tokens=5)


@pytest.mark.parametrize("text", ["", "abc", "a long text"])
def test_a_text_is_its_first_tokens_after_an_end_token(text: str) -> None:
    tokens = encode_for_classifier(TOKENIZER, text, 5)
    assert tokens[0] == TOKENIZER.vocabulary.end_of_text_id
    assert TOKENIZER.decode(tokens[1:]) == text[:4]


def test_padding_does_not_change_the_logits() -> None:
    classifier = make_classifier().eval()
    with torch.no_grad():
        classifier.head.weight.normal_()
        tokens = torch.tensor([encode_for_classifier(TOKENIZER, "abc", 5)])
        padded = torch.nn.functional.pad(tokens, (0, 3), value=TOKENIZER.vocabulary.padding_id)
        torch.testing.assert_close(classifier(padded), classifier(tokens))


def test_a_folder_keeps_the_labels_in_their_order_and_the_length(tmp_path: Path) -> None:
    save_classifier(tmp_path / "model", make_classifier(), TOKENIZER, {})
    loaded, _ = load_classifier(tmp_path / "model")
    assert (loaded.labels, loaded.max_tokens) == (("numpy", "scipy"), 5)


def test_a_folder_of_a_language_model_is_refused(tmp_path: Path) -> None:
    save_language_model(tmp_path / "model", build_model(GPT_CONFIG, TOKENIZER.vocabulary), TOKENIZER, {})
    with pytest.raises(ValueError, match="holds a language model, not a classifier"):
        load_classifier(tmp_path / "model")
