"""Distances within and between sets of feature vectors: diversity, nearest training pictures, far from everything."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.statistics import Estimate, count_clusters, normal_quantile, standard_error
from bamkit.gan.evaluate.metrics.vectors import Vectors

if TYPE_CHECKING:
    from bamkit.common.statistics.clusters import Clusters

BLOCK = 256


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Euclidean distances of (n, d) to (m, d) vectors: (n, m) float64."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    squared = (x * x).sum(1)[:, None] + (y * y).sum(1)[None] - 2 * x @ y.T
    roots: np.ndarray = np.sqrt(np.clip(squared, 0, None))
    return roots


def nearest(queries: Vectors, references: Vectors, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest references of every query: (n, k) distances, ascending, and (n, k) indices.

    Memory is O(BLOCK^2) plus the result: both sides may be memory maps. Ties go to the lower index.
    Raises ValueError if there are fewer than k references.
    """
    n, m = len(queries), len(references)
    if m < k:
        raise ValueError(f"{k} nearest of {m} references")
    best, index = np.full((n, k), np.inf), np.zeros((n, k), dtype=np.int64)
    for start in range(0, n, BLOCK):
        rows = slice(start, min(start + BLOCK, n))
        for first in range(0, m, BLOCK):
            block = distances(queries[rows], references[first : first + BLOCK])
            numbers = np.broadcast_to(np.arange(first, first + block.shape[1]), block.shape)
            both, labels = np.hstack([best[rows], block]), np.hstack([index[rows], numbers])
            order = np.argsort(both, axis=1, kind="stable")[:, :k]
            best[rows], index[rows] = np.take_along_axis(both, order, 1), np.take_along_axis(labels, order, 1)
    return best, index


def mean_pairwise_distance(
    features: Vectors, clusters: Clusters = None, limit: int = 4000, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """Diversity: the mean Euclidean distance between two different vectors of an (n, d) set.

    It is a U-statistic of order 2, so its standard error is about twice that of the mean of h, each vector's mean
    distance to the others (Hoeffding 1948), which is clustered where clusters are given; the interval is the normal
    one, NaN for two vectors, whose h are equal. Beyond `limit` vectors a seeded sample of them is used.
    Raises ValueError where n < 2.
    """
    if len(features) < 2:
        raise ValueError(f"a pairwise distance needs at least 2 vectors, there are {len(features)}")
    n = min(len(features), limit)
    rows = np.sort(np.random.default_rng(seed).choice(len(features), n, replace=False))
    totals = np.zeros(n)
    for start in range(0, n, BLOCK):
        part = features[rows[start : start + BLOCK]]
        for first in range(0, n, BLOCK):
            block = distances(part, features[rows[first : first + BLOCK]])
            if start == first:
                np.fill_diagonal(block, 0)
            totals[start : start + BLOCK] += block.sum(axis=1)
    each = totals / (n - 1)
    clusters = None if clusters is None else clusters[rows]
    reach = normal_quantile(confidence) * 2 * standard_error(each, clusters)
    value, method = float(each.mean()), "U-statistic" if clusters is None else "clustered U-statistic"
    if n == 2 or math.isnan(reach):
        return Estimate(value, math.nan, math.nan, n, method, confidence, count_clusters(clusters))
    return Estimate(value, max(0.0, value - reach), value + reach, n, method, confidence, count_clusters(clusters))
