"""Intervals of proportions and of their differences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.statistics.clusters import count_clusters, effective_size, subset
from bamkit.common.statistics.estimate import Estimate, normal_quantile

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from bamkit.common.statistics.clusters import Clusters


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """The proportion `successes / n` with Wilson's score interval; [0, 1] where n is 0.

    Raises ValueError unless 0 <= successes <= n. Source: Wilson 1927, JASA 22:209.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"no proportion: {successes} of {n}")
    value = successes / n if n else math.nan
    return Estimate(value, *wilson_bounds(value, n, confidence), n, "wilson", confidence)


def wilson_bounds(p: float, n: float, confidence: float) -> tuple[float, float]:
    """(p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n), exactly 0 and 1 where p is."""
    z = normal_quantile(confidence)
    if n == 0:
        return 0.0, 1.0
    middle, scale = p + z * z / (2 * n), 1 + z * z / n
    reach = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return 0.0 if p == 0 else (middle - reach) / scale, 1.0 if p == 1 else (middle + reach) / scale


def share(hits: ArrayLike, clusters: Clusters = None, confidence: float = 0.95) -> Estimate:
    """The share of True among (n,) `hits`, with Wilson's interval for as many cases as `effective_size` says.

    Without clusters it is `wilson`. Simulations hold that it covers in clusters of any likeness, where Wilson's alone
    covers down to 50 %. Source: Korn and Graubard 1998, Survey Methodology 24:193; for Wilson's interval in their
    place Franco et al. 2019, Journal of Survey Statistics and Methodology 7:334.
    """
    hits = np.asarray(hits, dtype=bool)
    value = float(hits.mean()) if hits.size else math.nan
    bounds = wilson_bounds(value, effective_size(hits, clusters, confidence), confidence)
    method = "wilson" if clusters is None else "clustered wilson"
    return Estimate(value, *bounds, hits.size, method, confidence, count_clusters(clusters))


def difference_of_shares(
    a: ArrayLike, b: ArrayLike, clusters_a: Clusters = None, clusters_b: Clusters = None, confidence: float = 0.95
) -> Estimate:
    """The share of True in `a` minus that in `b`, two independent samples: the `difference` of the `share` of each."""
    return difference(share(a, clusters_a, confidence), share(b, clusters_b, confidence))


def difference_of_proportions(
    successes_a: int, n_a: int, successes_b: int, n_b: int, confidence: float = 0.95
) -> Estimate:
    """p_a - p_b of two independent samples, its interval within [-1, 1].

    Source: Newcombe 1998, Statistics in Medicine 17:873, method 10 (built from the two Wilson intervals).
    """
    return difference(wilson(successes_a, n_a, confidence), wilson(successes_b, n_b, confidence))


def difference(a: Estimate, b: Estimate) -> Estimate:
    """The proportion `a` minus `b`, of two independent samples, built from the intervals of both.

    Clusters of the two are taken as different ones. Source: Newcombe 1998, Statistics in Medicine 17:873, method 10.
    """
    clusters = None if a.clusters is None or b.clusters is None else a.clusters + b.clusters
    method = "newcombe" if clusters is None else "clustered newcombe"
    value, n = a.value - b.value, a.n + b.n
    if not a.n or not b.n:
        return Estimate(math.nan, -1.0, 1.0, n, method, a.confidence, clusters)
    low = value - math.hypot(a.value - a.low, b.high - b.value)
    high = value + math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, low, high, n, method, a.confidence, clusters)


def precision_recall(
    labels: ArrayLike, predicted: ArrayLike, clusters: Clusters = None, confidence: float = 0.95
) -> tuple[Estimate, Estimate]:
    """Precision (true among predicted) and recall (predicted among true), each with the interval of `share`."""
    labels, predicted = np.asarray(labels, dtype=bool), np.asarray(predicted, dtype=bool)

    def among(hits: NDArray[np.bool_], cases: NDArray[np.bool_]) -> Estimate:
        return share(hits[cases], subset(clusters, cases), confidence)

    return among(labels, predicted), among(predicted, labels)
