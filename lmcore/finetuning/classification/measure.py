"""How well a classifier does on its validation documents while it is trained."""

from collections.abc import Callable

import torch

from lmcore.config.training import MetricName
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.prediction import THRESHOLD
from lmcore.tokens.batches.batches import Batches


def classification_measure(classifier: Classifier, batches: Batches, name: MetricName) -> Callable[[], float]:
    """A function that measures ``classifier`` on the validation batches.

    Args:
        classifier: the classifier in training.
        batches: its batches.
        name: ``accuracy``, the fraction of texts whose label, or set of labels, is predicted exactly; or ``macro_f1``,
            the mean F1 of the labels that occur or are predicted.
    """

    def measure() -> float:
        predicted, actual = (torch.cat(parts) for parts in zip(*_predictions(classifier, batches), strict=True))
        if name == "accuracy":
            return float((predicted == actual).all(dim=1).float().mean())
        n_right = (predicted & actual).sum(dim=0)
        n_both = predicted.sum(dim=0) + actual.sum(dim=0)
        occurs = n_both > 0
        return float((2 * n_right[occurs] / n_both[occurs]).mean())

    return measure


def _predictions(classifier: Classifier, batches: Batches) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The predicted and the actual labels of each validation batch, bool (batch, classes)."""
    n_classes, found = len(classifier.labels), []
    for batch in batches.validation_batches():
        logits, targets = classifier(batch.tokens.to(classifier.device)).cpu(), batch.targets
        if classifier.is_multi_label:
            found.append((logits.sigmoid() >= THRESHOLD, targets[:, :n_classes] == 1))
        else:
            one_hot = torch.eye(n_classes, dtype=torch.bool)
            found.append((one_hot[logits.argmax(dim=1)], one_hot[targets]))
    return found
