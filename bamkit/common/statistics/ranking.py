"""How well scores rank: area under the ROC curve, average precision."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.statistics.clusters import count_clusters, effective_clusters, fewer, sums
from bamkit.common.statistics.estimate import Estimate, normal_quantile
from bamkit.common.statistics.proportions import wilson_bounds

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from bamkit.common.statistics.clusters import Clusters


def auc(labels: ArrayLike, scores: ArrayLike, clusters: Clusters = None, confidence: float = 0.95) -> Estimate:
    """Area under the ROC curve: the chance that a positive outranks a negative. NaN where one class is absent.

    The interval holds every area t whose distance from the estimate is at most z deviations, the variance at t being
    Hanley and McNeil's: it covers at few items and near 1, where DeLong's does not. In clusters the variance is that of
    as many items as `effective_items` says.
    Source: Newcombe 2006, Statistics in Medicine 25:559, method 5.
    """
    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    z, positives, items = normal_quantile(confidence), int(labels.sum()), labels.size
    method, known = "newcombe" if clusters is None else "clustered newcombe", count_clusters(clusters)
    if positives in (0, items):
        return Estimate(math.nan, 0.0, 1.0, items, method, confidence, known)
    from scipy.optimize import brentq
    from sklearn.metrics import roc_auc_score

    area = float(roc_auc_score(labels, scores))
    m, n = effective_items(labels, scores, clusters, confidence)
    size = (m + n) / 2 - 1

    def excess(t: float) -> float:
        """(area - t)^2 less z^2 times the variance at t: positive outside the interval."""
        variance = t * (1 - t) * (1 + size * (1 - t) / (2 - t) + size * t / (1 + t)) / (m * n)
        return (area - t) ** 2 - z * z * variance

    inside = min(max(area, 1e-9), 1 - 1e-9)
    low = 0.0 if area <= 0 else brentq(excess, 0.0, inside)
    high = 1.0 if area >= 1 else brentq(excess, inside, 1.0)
    return Estimate(area, low, high, items, method, confidence, known)


def average_precision(
    labels: ArrayLike, scores: ArrayLike, clusters: Clusters = None, confidence: float = 0.95
) -> Estimate:
    """The mean precision at the rank of each positive (no interpolation). NaN where there is no positive.

    Its variance is at most about p (1 - p) / (number of positives), so the interval is Wilson's for that many cases: a
    little wide, but it covers at few positives, where the percentile bootstrap misses up to one in three. In clusters
    the number of positives is that of `effective_items`.
    Source: Boyd, Eng and Page 2013, ECML PKDD, section 3.2 (their binomial interval, here in Wilson's form).
    """
    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    value, positives = math.nan, 0.0
    if labels.any():
        from sklearn.metrics import average_precision_score

        value = float(average_precision_score(labels, scores))
        positives, _ = effective_items(labels, scores, clusters, confidence)
    bounds, method = wilson_bounds(value, positives, confidence), "wilson" if clusters is None else "clustered wilson"
    return Estimate(value, *bounds, labels.size, method, confidence, count_clusters(clusters))


def effective_items(
    labels: NDArray[np.bool_], scores: NDArray[np.float64], clusters: Clusters, confidence: float = 0.95
) -> tuple[float, float]:
    """As many independent positives and negatives would tell as much about the area under the ROC curve.

    Both numbers over the design effect, at least 1: the variance of the area in clusters over that of independent
    items, each from the items' placements among those of the other class. Where all placements are equal, nothing
    shows how alike a cluster is: then a cluster counts as one item (Kish 1965). At least one of each, where there is.
    Source: Obuchowski 1997, Biometrics 53:567.
    """
    sides = labels, ~labels
    counts = tuple(float(side.sum()) for side in sides)
    if clusters is None or 0 in counts:
        return counts[0], counts[1]
    from scipy.stats import rankdata

    share = np.empty(labels.size)
    ranks = rankdata(scores)
    for side, others in zip(sides, reversed(counts), strict=True):
        # The rank among all less the rank among one's own is how many of the other class lie below.
        share[side] = (ranks[side] - rankdata(scores[side])) / others
    # A negative's placement is how many positives lie above it.
    share[~labels] = 1 - share[~labels]
    influence = np.where(
        labels, (share - share[labels].mean()) / counts[0], (share - share[~labels].mean()) / counts[1]
    )
    totals, _ = sums(influence, clusters)
    groups, independent = totals.size, float(influence @ influence) * labels.size / (labels.size - 1)
    if groups < 2:
        return 1.0, 1.0
    if independent < 1e-12:
        kept = [effective_clusters(clusters[side]) for side in sides]
    else:
        effect = max(1.0, groups / (groups - 1) * float(totals @ totals) / independent)
        kept = [count / effect for count in counts]
    left = fewer(clusters, confidence)
    return max(1.0, kept[0] * left), max(1.0, kept[1] * left)
