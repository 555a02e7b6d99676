"""Intervals of shares of items, which hold for few items and for shares close to 0 or 1 as well.

Sources: Wilson (1927), https://doi.org/10.1080/01621459.1927.10502953, for one share; Bonett and Price (2012),
https://doi.org/10.3102/1076998611411915, for the difference of two on the same items.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from lmcore.evaluation.bootstrap import Estimate

Flags = npt.NDArray[np.bool_]


def proportion(hits: Flags, confidence: float) -> Estimate:
    """The share of items (n_items,) that are true, with its interval."""
    n, share, z = len(hits), float(hits.mean()), float(ndtri((1 + confidence) / 2))
    center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # Of shares of 0 and 1, rounding would leave the share itself outside.
    return Estimate(share, min(share, max(0.0, center - half)), max(share, min(1.0, center + half)))


def proportion_difference(hits: Flags, reference: Flags, confidence: float) -> Estimate:
    """How much larger the share is than that of a reference on the same items (n_items,)."""
    n, z = len(hits), float(ndtri((1 + confidence) / 2))
    gained = (np.count_nonzero(hits & ~reference) + 1) / (n + 2)
    lost = (np.count_nonzero(reference & ~hits) + 1) / (n + 2)
    center, half = gained - lost, z * math.sqrt((gained + lost - (gained - lost) ** 2) / (n + 2))
    value = float(hits.mean() - reference.mean())
    return Estimate(value, min(value, max(-1.0, center - half)), max(value, min(1.0, center + half)))
