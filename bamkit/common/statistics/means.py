"""Intervals of means."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.statistics.clusters import count_clusters, student_quantile, sums
from bamkit.common.statistics.estimate import Estimate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from bamkit.common.statistics.clusters import Clusters


def bootstrap_mean(
    values: ArrayLike,
    clusters: Clusters = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """The mean of `values` with the expanded percentile bootstrap interval over clusters; seeded, so repeatable.

    Whole clusters are drawn; without `clusters` every value is one. The plain percentile interval is too narrow by
    about sqrt((n - 1) / n) z / t: the percentiles taken are those that make it as wide as Student's interval for normal
    data, with n clusters and t for as many as are effective (see clusters.py). Fewer than two clusters give no interval
    (NaN). At most half a million draws are in memory at once. Raises ValueError if a value is NaN: see `finite`.
    Source: Hesterberg 2015, The American Statistician 69:371, section 3.3; Cameron, Gelbach and Miller 2008, Review of
    Economics and Statistics 90:414 (pairs cluster bootstrap).
    """
    values = np.asarray(values, dtype=np.float64).ravel()
    if np.isnan(values).any():
        raise ValueError("values hold nan: leave the missing ones out")
    method = "bootstrap" if clusters is None else "clustered bootstrap"
    n, known = values.size, count_clusters(clusters)
    value = float(values.mean()) if n else math.nan
    each = np.arange(n) if clusters is None else clusters
    totals, sizes = sums(values, each)
    if totals.size < 2:
        return Estimate(value, math.nan, math.nan, n, method, confidence, known)
    random = np.random.default_rng(seed)
    groups = totals.size
    block = max(1, min(resamples, 500_000 // groups))
    means = np.empty(resamples)
    for start in range(0, resamples, block):
        stop = min(start + block, resamples)
        drawn = random.integers(0, groups, (stop - start, groups))
        means[start:stop] = totals[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    tail = NormalDist().cdf(-math.sqrt(groups / (groups - 1)) * student_quantile(each, confidence))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), n, method, confidence, known)


def finite(values: ArrayLike) -> NDArray[np.float64]:
    """`values` as a flat float64 array without NaN and infinities."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]
