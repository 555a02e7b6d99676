"""Accuracy and macro F1 in training are those of scikit-learn."""

from typing import Any, get_args

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from lmcore.config.classification import ProblemType
from lmcore.config.training import MetricName
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.measure import classification_measure
from lmcore.tokens.batches.batches import ExampleBatches
from tests.lmcore.models.gpt.test_gpt import make_model

LABELS = ("a", "b", "c", "d")
METRICS: dict[MetricName, Any] = {
    "accuracy": accuracy_score,
    "macro_f1": lambda actual, predicted: f1_score(actual, predicted, average="macro", zero_division=0),
}


def make_classifier(problem_type: ProblemType) -> Classifier:
    classifier = Classifier(make_model(), LABELS, max_tokens=6, problem_type=problem_type)
    with torch.no_grad():
        classifier.head.weight.normal_(generator=torch.Generator().manual_seed(1))
    return classifier.eval()


@pytest.mark.parametrize("problem_type", get_args(ProblemType))
@pytest.mark.parametrize("name", METRICS)
@torch.no_grad()
def test_the_measure_is_that_of_scikit_learn(name: MetricName, problem_type: ProblemType) -> None:
    classifier, draw = make_classifier(problem_type), np.random.default_rng(1)
    inputs = [draw.integers(3, 8, size=draw.integers(2, 6)).tolist() for _ in range(37)]
    # The last label never occurs; in some batches others do not either.
    if classifier.is_multi_label:
        actual = np.hstack([draw.integers(0, 2, size=(37, 3)), np.zeros((37, 1), int)])
        predicted = np.array([(classifier(torch.tensor([tokens])) > 0).int()[0].tolist() for tokens in inputs])
        actual[:20] = predicted[:20]
        targets: list[Any] = actual.tolist()
    else:
        actual = draw.integers(0, 3, size=37)
        predicted = np.array([int(classifier(torch.tensor([tokens])).argmax()) for tokens in inputs])
        targets = actual.tolist()
    examples = list(zip(inputs, targets, strict=True))
    batches = ExampleBatches(examples, examples, batch_size=5, seed=1, padding=classifier.vocabulary.padding_id)
    found = classification_measure(classifier, batches, name)()
    if name == "macro_f1" and classifier.is_multi_label:
        occurs = (actual.any(axis=0)) | (predicted.any(axis=0))
        expected = f1_score(actual[:, occurs], predicted[:, occurs], average="macro", zero_division=0)
    else:
        expected = METRICS[name](actual, predicted)
    assert found == pytest.approx(expected, abs=1e-6)
    assert 0 < found < 1
