"""Proportions of items that may belong to clusters, such as questions about the same document.

Exact intervals and McNemar's test hold for independent items. If a cluster has several items, the interval and the p
value come from a bootstrap that resamples clusters. If that finds no variation, because every cluster has the same
proportion, they are the exact ones for as many items as there are clusters.
"""

import numpy as np

from lmcore.evaluation.intervals import (
    Bootstrap,
    Flags,
    exact_interval,
    proportion,
    proportion_difference,
    ratio,
    ratio_difference,
)
from lmcore.evaluation.result import Estimate


def clustered_proportion(hits: Flags, bootstrap: Bootstrap) -> Estimate:
    """The fraction of items that are true, bool (n_items,), with its interval."""
    if not bootstrap.is_clustered:
        return proportion(hits, bootstrap.confidence)
    statistics = np.stack((hits, np.ones(len(hits))), axis=1).astype(np.float64)
    found = bootstrap.estimate(statistics, ratio, within=(0.0, 1.0))
    if found.low < found.high:
        return found
    n_clusters = bootstrap.n_clusters
    return Estimate(found.value, *exact_interval(found.value * n_clusters, n_clusters, bootstrap.confidence))


def clustered_difference(hits: Flags, reference: Flags, bootstrap: Bootstrap) -> Estimate:
    """The fraction of ``hits`` minus that of a reference on the same items, with its interval and p value."""
    if not bootstrap.is_clustered:
        return proportion_difference(hits, reference, bootstrap.confidence)
    ones = np.ones(len(hits))
    statistics = np.stack((hits, ones, reference, ones), axis=1).astype(np.float64)
    found = bootstrap.difference(statistics, ratio_difference, within=(-1.0, 1.0))
    if found.low < found.high:
        return found
    _, first = np.unique(bootstrap.clusters, return_index=True)  # one item stands for all of its cluster
    exact = proportion_difference(hits[first], reference[first], bootstrap.confidence)
    return Estimate(found.value, min(found.value, exact.low), max(found.value, exact.high), exact.p_value)
