"""How far two samples lie apart, in deviations; how often two things meet; quantiles of a histogram."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.statistics.means import finite

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


BALANCED = 0.1
"""|SMD| below this is customarily called balanced (Austin 2009, Statistics in Medicine 28:3083)."""


def standardised_mean_difference(a: ArrayLike, b: ArrayLike) -> float:
    """(mean(a) - mean(b)) / sqrt((var(a) + var(b)) / 2), Cohen's d with the variances averaged; NaN are left out.

    0 where both sides are one and the same constant, +-infinity where they are two, NaN where a side is empty.
    Source: Austin 2009, Statistics in Medicine 28:3083 (who calls |d| < 0.1 balanced).
    """
    left, right = finite(a), finite(b)
    if left.size == 0 or right.size == 0:
        return math.nan
    variances = [side.var(ddof=1) if side.size > 1 else 0.0 for side in (left, right)]
    return _standardise(float(left.mean() - right.mean()), float(sum(variances) / 2))


def standardised_difference_of_shares(a: float, b: float) -> float:
    """The same for two proportions: (a - b) / sqrt((a (1 - a) + b (1 - b)) / 2)."""
    if math.isnan(a) or math.isnan(b):
        return math.nan
    return _standardise(a - b, (a * (1 - a) + b * (1 - b)) / 2)


def _standardise(difference: float, variance: float) -> float:
    if variance > 0:
        return difference / math.sqrt(variance)
    return 0.0 if difference == 0 else math.copysign(math.inf, difference)


def lift(joint: ArrayLike, a: ArrayLike, b: ArrayLike, n: float) -> NDArray[np.float64]:
    """How many times more often two things meet than if they were independent: n joint / (a b); NaN where undefined.

    `joint`, `a` and `b` are counts (arrays that broadcast together) among `n` items.
    """
    joint, a, b = (np.asarray(part, dtype=np.float64) for part in (joint, a, b))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = joint * n / (a * b)
    return np.where(np.isfinite(ratio), ratio, np.nan)


def pmi(joint: ArrayLike, a: ArrayLike, b: ArrayLike, n: float) -> NDArray[np.float64]:
    """Pointwise mutual information in bits: log2 of the lift; -infinity where two things never meet.

    Source: Church and Hanks 1990, Computational Linguistics 16:22.
    """
    with np.errstate(divide="ignore"):
        return np.log2(lift(joint, a, b, n))


def quantiles_of_histogram(counts: ArrayLike, edges: ArrayLike, q: ArrayLike) -> NDArray[np.float64]:
    """The `q` quantiles of data known only as a histogram, each bin taken as evenly filled; NaN where it is empty.

    `counts` has k entries, `edges` k + 1.
    """
    counts, edges = np.asarray(counts, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    total = counts.sum()
    if not total:
        return np.full(np.shape(q), np.nan)
    filled: NDArray[np.float64] = np.interp(
        np.asarray(q, dtype=np.float64) * total, np.append(0.0, np.cumsum(counts)), edges
    )
    return filled
