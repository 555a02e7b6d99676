"""The probabilities of a classifier, with and without the temperature by which it is calibrated
(:mod:`lmcore.finetuning.classification.temperature`)."""

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

Floats = npt.NDArray[np.float64]


def probabilities(
    logits: npt.NDArray[np.floating], *, temperature: float = 1.0, is_multi_label: bool = False
) -> Floats:
    """The probability of each label, float64 (n_documents, n_labels); rows sum to 1 unless a document can have several
    labels."""
    scaled = np.asarray(logits, np.float64) / temperature
    return np.asarray(expit(scaled) if is_multi_label else softmax(scaled, axis=-1))
