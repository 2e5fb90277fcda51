"""How well scores rank: area under the ROC curve, average precision."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.statistics.estimate import Estimate, normal_quantile
from bamkit.common.statistics.proportions import wilson_bounds

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def auc(labels: ArrayLike, scores: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Area under the ROC curve: the chance that a positive outranks a negative. NaN where one class is absent.

    The interval holds every area t whose distance from the estimate is at most z deviations, the variance at t being
    Hanley and McNeil's: it covers at few items and near 1, where DeLong's does not.
    Source: Newcombe 2006, Statistics in Medicine 25:559, method 5.
    """
    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    z, m, n = normal_quantile(confidence), int(labels.sum()), int((~labels).sum())
    if not m or not n:
        return Estimate(math.nan, 0.0, 1.0, m + n, "newcombe", confidence)
    from scipy.optimize import brentq
    from sklearn.metrics import roc_auc_score

    area = float(roc_auc_score(labels, scores))
    size = (m + n) / 2 - 1

    def excess(t: float) -> float:
        """(area - t)^2 less z^2 times the variance at t: positive outside the interval."""
        variance = t * (1 - t) * (1 + size * (1 - t) / (2 - t) + size * t / (1 + t)) / (m * n)
        return (area - t) ** 2 - z * z * variance

    inside = min(max(area, 1e-9), 1 - 1e-9)
    low = 0.0 if area <= 0 else brentq(excess, 0.0, inside)
    high = 1.0 if area >= 1 else brentq(excess, inside, 1.0)
    return Estimate(area, low, high, m + n, "newcombe", confidence)


def average_precision(labels: ArrayLike, scores: ArrayLike, confidence: float = 0.95) -> Estimate:
    """The mean precision at the rank of each positive (no interpolation). NaN where there is no positive.

    Its variance is at most about p (1 - p) / (number of positives), so the interval is Wilson's for that many cases: a
    little wide, but it covers at few positives, where the percentile bootstrap misses up to one in three.
    Source: Boyd, Eng and Page 2013, ECML PKDD, section 3.2 (their binomial interval, here in Wilson's form).
    """
    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    positives = int(labels.sum())
    value = math.nan
    if positives:
        from sklearn.metrics import average_precision_score

        value = float(average_precision_score(labels, scores))
    return Estimate(value, *wilson_bounds(value, positives, confidence), labels.size, "wilson", confidence)
