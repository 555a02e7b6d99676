"""Confidence intervals of proportions that are valid for few items and for proportions close to 0 or 1.

Sources: Clopper and Pearson (1934), https://doi.org/10.1093/biomet/26.4.404, for one share: its coverage is never below
the confidence; Bonett and Price (2012), https://doi.org/10.3102/1076998611411915, for the difference of two on the same
items.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtri

from lmcore.evaluation.intervals import Estimate

Flags = npt.NDArray[np.bool_]


def proportion(hits: Flags, confidence: float) -> Estimate:
    """The share of items (n_items,) that are true, with its interval."""
    n_items, n_hits, tail = len(hits), int(np.count_nonzero(hits)), (1 - confidence) / 2
    low = 0.0 if n_hits == 0 else float(betaincinv(n_hits, n_items - n_hits + 1, tail))
    high = 1.0 if n_hits == n_items else float(betaincinv(n_hits + 1, n_items - n_hits, 1 - tail))
    return Estimate(n_hits / n_items, low, high)


def proportion_difference(hits: Flags, reference: Flags, confidence: float) -> Estimate:
    """How much larger the share is than that of a reference on the same items (n_items,)."""
    n, z = len(hits), float(ndtri((1 + confidence) / 2))
    gained = (np.count_nonzero(hits & ~reference) + 1) / (n + 2)
    lost = (np.count_nonzero(reference & ~hits) + 1) / (n + 2)
    center, half = gained - lost, z * math.sqrt((gained + lost - (gained - lost) ** 2) / (n + 2))
    value = float(hits.mean() - reference.mean())
    return Estimate(value, min(value, max(-1.0, center - half)), max(value, min(1.0, center + half)))
