"""The classifier: how a text is encoded, and what its folder keeps; see the tests of the families for predictions."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from lmcore.config.classification import Pooling
from lmcore.config.tokenize import BytePairConfig
from lmcore.finetuning.classification.classifier import (
    Classifier,
    chosen_labels,
    encode_for_classifier,
    load_classifier,
    predict,
    predict_logits,
    save_classifier,
)
from lmcore.models.families import build_model
from lmcore.models.folder import save_language_model
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.models.lstm.test_lstm import CONFIG as LSTM_CONFIG
from tests.lmcore.models.small_models import GPT_CONFIG

TOKENIZER = train_tokenizer(["a"], BytePairConfig(kind="byte_pair", vocabulary_size=259))
"""Every byte is a token."""


def make_classifier(**changes: Any) -> Classifier:
    torch.manual_seed(0)
    backbone = build_model(GPT_CONFIG, TOKENIZER.vocabulary)
    return Classifier(backbone, ("numpy", "scipy"), max_tokens=5, **changes)


@pytest.mark.parametrize("text", ["", "abc", "a long text"])
def test_a_text_is_its_first_or_last_tokens_after_an_end_token(text: str) -> None:
    for classifier, expected in (
        (make_classifier(), text[:4]),
        (make_classifier(truncation_side="left"), text[-4:]),
    ):
        tokens = encode_for_classifier(classifier, TOKENIZER, text)
        assert tokens[0] == TOKENIZER.vocabulary.end_of_text_id
        assert TOKENIZER.decode(tokens[1:]) == expected


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_padding_does_not_change_the_logits(pooling: Pooling) -> None:
    classifier = make_classifier(pooling=pooling).eval()
    with torch.no_grad():
        classifier.head.weight.normal_()
        tokens = torch.tensor([encode_for_classifier(classifier, TOKENIZER, "abc")])
        padded = torch.nn.functional.pad(tokens, (0, 3), value=TOKENIZER.vocabulary.padding_id)
        torch.testing.assert_close(classifier(padded), classifier(tokens))


def test_the_head_reads_the_features_of_the_last_token() -> None:
    classifier = make_classifier(pooling="last").eval()
    with torch.no_grad():
        classifier.head.weight.normal_()
        texts = ["ab", "abcd", "c"]
        sequences = [torch.tensor([encode_for_classifier(classifier, TOKENIZER, text)]) for text in texts]
        features = [classifier.backbone.features(tokens, torch.ones_like(tokens).bool()) for tokens in sequences]
        expected = torch.stack([own[0, -1] for own in features]).float() @ classifier.head.weight.T
    np.testing.assert_allclose(predict_logits(classifier, TOKENIZER, texts), expected, atol=1e-5)


def test_a_folder_keeps_the_labels_in_their_order_and_what_of_a_text_is_read(tmp_path: Path) -> None:
    save_classifier(tmp_path / "model", make_classifier(truncation_side="left", pooling="last"), TOKENIZER, {})
    loaded, _ = load_classifier(tmp_path / "model")
    assert (loaded.labels, loaded.max_tokens) == (("numpy", "scipy"), 5)
    assert (loaded.truncation_side, loaded.pooling) == ("left", "last")


def test_a_folder_of_a_language_model_is_refused(tmp_path: Path) -> None:
    save_language_model(tmp_path / "model", build_model(GPT_CONFIG, TOKENIZER.vocabulary), TOKENIZER, {})
    with pytest.raises(ValueError, match="holds a language model, not a classifier"):
        load_classifier(tmp_path / "model")


def make_multi_label(**changes: Any) -> Classifier:
    torch.manual_seed(0)
    backbone = build_model(GPT_CONFIG, TOKENIZER.vocabulary)
    classifier = Classifier(
        backbone, ("a", "b", "c"), max_tokens=5, problem_type="multi_label_classification", **changes
    ).eval()
    torch.nn.init.normal_(classifier.head.weight)
    return classifier


def test_the_loss_of_any_number_of_labels_is_the_binary_cross_entropy_of_each() -> None:
    classifier = make_multi_label(class_weights=(1.0, 2.0, 3.0))
    tokens = torch.tensor([encode_for_classifier(classifier, TOKENIZER, text) for text in ("abcd", "bcde")])
    presence = torch.tensor([[1, 0, 1], [0, 0, 1]])
    padded = torch.nn.functional.pad(presence, (0, 5), value=-100)  # as batches have them
    logits, weights = classifier(tokens), torch.tensor((1.0, 2.0, 3.0))
    positive, negative = presence * logits.sigmoid().log() * weights, (1 - presence) * (-logits).sigmoid().log()
    torch.testing.assert_close(classifier.loss(tokens, padded), -(positive + negative).sum())
    smoothed = presence * 0.8 + 0.1
    expected = -(smoothed * logits.sigmoid().log() * weights + (1 - smoothed) * (-logits).sigmoid().log()).sum()
    torch.testing.assert_close(classifier.loss(tokens, padded, label_smoothing=0.2), expected)


def test_class_weights_scale_the_loss_of_each_example_and_are_no_part_of_the_model() -> None:
    plain, weighted = make_classifier(), make_classifier(class_weights=(1.0, 5.0))
    tokens = torch.tensor([encode_for_classifier(plain, TOKENIZER, text) for text in ("abcd", "bcde")])
    single = [plain.loss(tokens[[row]], torch.tensor([row])) for row in (0, 1)]
    torch.testing.assert_close(weighted.loss(tokens, torch.tensor([0, 1])), single[0] + 5 * single[1])
    assert plain.state_dict().keys() == weighted.state_dict().keys()


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


def make_ensemble(**changes: Any) -> tuple[Classifier, list[Classifier]]:
    """An ensemble, and classifiers with the weights of each of its members."""
    torch.manual_seed(0)
    backbones = [build_model(GPT_CONFIG, TOKENIZER.vocabulary) for _ in range(3)]
    classifier = Classifier(backbones[0], ("a", "b"), max_tokens=5, others=backbones[1:], **changes).eval()
    for member in classifier.members:
        torch.nn.init.normal_(member.head.weight)
    alone = [
        Classifier(backbone, ("a", "b"), max_tokens=5, reads_backwards=number == 1, **changes).eval()
        for number, backbone in enumerate(backbones)
    ]
    for one, member in zip(alone, classifier.members, strict=True):
        one.head = member.head
    return classifier, alone


@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification"])
def test_an_ensemble_averages_logits_but_trains_each_member_by_itself(problem_type: str) -> None:
    classifier, alone = make_ensemble(problem_type=problem_type, class_weights=(1.0, 3.0))
    tokens = torch.tensor([encode_for_classifier(classifier, TOKENIZER, text) for text in ("abcd", "bcde")])
    targets = torch.tensor([0, 1]) if problem_type.startswith("single") else torch.tensor([[1, 0], [1, 1]])
    torch.testing.assert_close(classifier(tokens), sum(one(tokens) for one in alone) / 3)
    losses = [one.loss(tokens, targets) for one in alone]
    assert classifier.loss(tokens, targets) < sum(losses) / 3  # the cross-entropy is convex in the logits
    torch.testing.assert_close(classifier.train().loss(tokens, targets), sum(losses) / 3)
    assert classifier.flops_per_token() == 3 * alone[0].flops_per_token()


def test_a_text_read_backwards_is_the_reversed_text_whatever_the_padding() -> None:
    torch.manual_seed(0)
    backbone = build_model(LSTM_CONFIG, TOKENIZER.vocabulary)
    forwards, backwards = (
        Classifier(backbone, ("a", "b"), max_tokens=5, reads_backwards=is_so) for is_so in (False, True)
    )
    torch.nn.init.normal_(forwards.head.weight)
    backwards.head = forwards.head
    tokens, padding = torch.tensor([[5, 6, 7, 8]]), TOKENIZER.vocabulary.padding_id
    padded = torch.tensor([[5, 6, 7, 8, padding, padding], [5, 6, padding, padding, padding, padding]])
    torch.testing.assert_close(backwards(padded)[:1], forwards(tokens.flip(1)))
    torch.testing.assert_close(backwards(padded)[1:], forwards(torch.tensor([[6, 5]])))
    assert not torch.allclose(backwards(tokens), forwards(tokens))


def test_a_folder_keeps_an_ensemble(tmp_path: Path) -> None:
    classifier, _ = make_ensemble()
    save_classifier(tmp_path / "model", classifier, TOKENIZER, {})
    loaded, _ = load_classifier(tmp_path / "model")
    assert len(loaded.members) == 3
    np.testing.assert_array_equal(predict(loaded, TOKENIZER, ["abc"]), predict(classifier, TOKENIZER, ["abc"]))
