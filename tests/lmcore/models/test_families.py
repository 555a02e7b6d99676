"""Every family can be classified with, and says the same about itself as its configuration."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lmcore.config.families import FamilyConfig
from lmcore.config.tokenize import BytePairConfig
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.folder import load_classifier, save_classifier
from lmcore.finetuning.classification.prediction import predict
from lmcore.models.families import FAMILIES, build_model
from lmcore.models.generative import CountedModel, GenerativeModel
from lmcore.models.trainable import TextEncoder, TrainableModel
from lmcore.tokens.tokenizer.training import train_tokenizer
from lmcore.training.pretraining import FOR_OBJECTIVE
from tests.lmcore.models.small_models import CONFIGS, perturb

TEXTS = ["a fox", "dogs jump over the lazy fox, again and again", "", "over"]
TOKENIZER = train_tokenizer(TEXTS, BytePairConfig(kind="byte_pair", vocabulary_size=270))
families = pytest.mark.parametrize("family", CONFIGS)


def make_encoder(family: str) -> TextEncoder:
    torch.manual_seed(0)
    model = build_model(CONFIGS[family], TOKENIZER.vocabulary)
    assert type(model) is FAMILIES[type(CONFIGS[family])]
    assert isinstance(model, TextEncoder)
    perturb(model.parameters())
    return model


@families
def test_a_classifier_reads_each_text_as_if_alone(family: str, tmp_path: Path) -> None:
    classifier = Classifier(make_encoder(family), ["long", "short"], max_tokens=12)
    perturb(classifier.head.parameters())
    together = predict(classifier, TOKENIZER, TEXTS)
    alone = np.concatenate([predict(classifier, TOKENIZER, [text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert together.std(axis=0).min() > 1e-3
    save_classifier(tmp_path / "model", classifier, TOKENIZER, {})
    loaded, tokenizer = load_classifier(tmp_path / "model")
    np.testing.assert_array_equal(predict(loaded, tokenizer, TEXTS), together)


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.family_name)
def test_a_family_says_the_same_about_itself_as_its_configuration(config: type[FamilyConfig]) -> None:
    family = FAMILIES[config]
    assert config.reads_source == (issubclass(family, GenerativeModel) and family.reads_source)
    assert family.objective in FOR_OBJECTIVE
    assert issubclass(family, TrainableModel | CountedModel)
