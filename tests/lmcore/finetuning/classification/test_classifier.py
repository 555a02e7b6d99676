"""The classifier: its features, its logits and its loss; see the tests of the families for predictions."""

from typing import get_args

import numpy as np
import pytest
import torch

from lmcore.config.classification import Pooling
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.prediction import encode_for_classifier, predict_logits
from lmcore.models.families import build_model
from tests.lmcore.finetuning.classification.small_classifiers import (
    TOKENIZER,
    make_classifier,
    make_ensemble,
    make_multi_label,
)
from tests.lmcore.models.lstm.test_lstm import CONFIG as LSTM_CONFIG


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
