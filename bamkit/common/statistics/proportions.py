"""Intervals of proportions and of their differences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.statistics.estimate import Estimate, normal_quantile

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


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


def difference_of_proportions(
    successes_a: int, n_a: int, successes_b: int, n_b: int, confidence: float = 0.95
) -> Estimate:
    """p_a - p_b of two independent samples, its interval within [-1, 1].

    Source: Newcombe 1998, Statistics in Medicine 17:873, method 10 (built from the two Wilson intervals).
    """
    a, b = wilson(successes_a, n_a, confidence), wilson(successes_b, n_b, confidence)
    value, n = a.value - b.value, n_a + n_b
    if n_a == 0 or n_b == 0:
        return Estimate(math.nan, -1.0, 1.0, n, "newcombe", confidence)
    low = value - math.hypot(a.value - a.low, b.high - b.value)
    high = value + math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, low, high, n, "newcombe", confidence)


def precision_recall(labels: ArrayLike, predicted: ArrayLike, confidence: float = 0.95) -> tuple[Estimate, Estimate]:
    """Precision (true among predicted) and recall (predicted among true), each with its Wilson interval."""
    labels, predicted = np.asarray(labels, dtype=bool), np.asarray(predicted, dtype=bool)
    true = int((labels & predicted).sum())
    return wilson(true, int(predicted.sum()), confidence), wilson(true, int(labels.sum()), confidence)
