"""Small classifiers with random weights, for tests."""

from typing import Any

import torch

from lmcore.config.tokenize import BytePairConfig
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.models.families import build_model
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.models.small_models import GPT_CONFIG

TOKENIZER = train_tokenizer(["a"], BytePairConfig(kind="byte_pair", vocabulary_size=259))
"""Every byte is a token."""


def make_classifier(**changes: Any) -> Classifier:
    torch.manual_seed(0)
    backbone = build_model(GPT_CONFIG, TOKENIZER.vocabulary)
    return Classifier(backbone, ("numpy", "scipy"), max_tokens=5, **changes)


def make_multi_label(**changes: Any) -> Classifier:
    torch.manual_seed(0)
    backbone = build_model(GPT_CONFIG, TOKENIZER.vocabulary)
    classifier = Classifier(
        backbone, ("a", "b", "c"), max_tokens=5, problem_type="multi_label_classification", **changes
    ).eval()
    torch.nn.init.normal_(classifier.head.weight)
    return classifier


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
