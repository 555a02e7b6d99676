"""How generated texts are written, regardless of their references: length, variety and repetition.

Sources: Li et al. (2016), https://aclanthology.org/N16-1014, for distinct-n; Welleck et al. (2020),
https://arxiv.org/abs/1908.04319, for the fraction of repeated n-grams.
"""

from collections.abc import Sequence

import numpy as np

from lmcore.evaluation.intervals import ratio
from lmcore.evaluation.texts.statistics import DistinctFraction, MetricOfSums, TextMetric
from lmcore.text.words.segmentation import words_of

REPEATED_WORDS = 4
"""Length of the runs of words whose repetition is counted."""


def style_metrics(texts: Sequence[str], references: Sequence[str]) -> dict[str, TextMetric]:
    """``length_ratio`` (words of the texts divided by those of the references), ``distinct_1``, ``distinct_2`` and
    ``repetition`` (the fraction of runs of 4 words that occurred earlier in the same text)."""
    words = [words_of(text) for text in texts]
    lengths = np.array([len(own) for own in words], np.float64)
    expected = np.array([len(words_of(reference)) for reference in references], np.float64)
    runs = [n_grams(own, REPEATED_WORDS) for own in words]
    repeated = np.array([[len(own) - len(set(own)), len(own)] for own in runs], np.float64)
    return {
        "length_ratio": MetricOfSums(np.stack((lengths, expected), axis=1), ratio, np.inf, "words:white space"),
        **{
            f"distinct_{n}": DistinctFraction(
                tuple(tuple(n_grams(own, n)) for own in words), f"n:{n}|words:white space|over all texts"
            )
            for n in (1, 2)
        },
        "repetition": MetricOfSums(
            repeated.reshape(len(texts), 2), ratio, 1.0, f"n:{REPEATED_WORDS}|words:white space|within each text"
        ),
    }


def n_grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All runs of n words."""
    return list(zip(*(words[start:] for start in range(n)), strict=False))
