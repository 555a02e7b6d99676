"""The weights of examples in the loss of a classifier, by their labels."""

from collections.abc import Sequence

import numpy as np

from lmcore.config.classification import ClassWeights
from lmcore.errors import UserError


def class_weights(
    config: ClassWeights | None, labels: Sequence[str], label_sets: Sequence[Sequence[str]], *, is_multi_label: bool
) -> tuple[float, ...] | None:
    """The weight of each label; None if all are 1.

    ``balanced`` weights of one label per text are n_texts / (n_labels * n_texts_with_the_label), as in scikit-learn:
    every label has the same total weight. With any number of labels, the presence of a label is weighted by the texts
    without it per text with it, so that its presence and its absence have the same total weight.

    Args:
        config: null, ``balanced``, or weights by label.
        labels: the classes.
        label_sets: the labels of each training text.
        is_multi_label: whether a text may have any number of labels.

    Raises:
        UserError: if a weight is for an unknown label, or a label has no example or is on all of them.
    """
    if config is None:
        return None
    if isinstance(config, dict):
        if unknown := sorted(set(config) - set(labels)):
            raise UserError(f"class_weights: {', '.join(unknown)} is not a label; the labels are {', '.join(labels)}")
        return tuple(float(config.get(label, 1.0)) for label in labels)
    counts = np.array([sum(label in found for found in label_sets) for label in labels], np.float64)
    n_texts = len(label_sets)
    if (counts == 0).any() or (is_multi_label and (counts == n_texts).any()):
        label = next(label for label, count in zip(labels, counts, strict=True) if count in (0, n_texts))
        raise UserError(f"class_weights: balanced needs training texts with and without the label {label!r}")
    weights = (n_texts - counts) / counts if is_multi_label else n_texts / (len(labels) * counts)
    return tuple(map(float, weights))
