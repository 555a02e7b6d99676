"""Unigram token frequencies: the weakest baseline for a language model."""

import numpy as np

from lmcore.evaluation.intervals import Floats
from lmcore.evaluation.likelihood import Tokens

TOKENS_AT_ONCE = 1 << 24


def unigram_log_probabilities(training: Tokens, vocabulary_size: int) -> Floats:
    """The natural logarithm of each token's probability (vocabulary_size,), as if each had occurred once more."""
    counts = np.ones(vocabulary_size)
    for start in range(0, len(training), TOKENS_AT_ONCE):
        counts += np.bincount(training[start : start + TOKENS_AT_ONCE], minlength=vocabulary_size)
    return np.asarray(np.log(counts / counts.sum()))
