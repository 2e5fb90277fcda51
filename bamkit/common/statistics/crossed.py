"""Figures over repetitions (seeds of a training) and cases (pictures, in clusters): what varies with either.

Every repetition is measured on the same cases, so both are factors of a crossed design. The variance of a figure's
mean over the repetitions is, of its parts,

    V = sum_k V_k + V_clusters - V_both,   not below the larger of its first two

V_k from the repetitions' own figures, V_clusters from each cluster's mean over the repetitions, V_both from what
neither explains, which both of them count (Cameron, Gelbach and Miller 2011, Journal of Business & Economic Statistics
29:238, eq. 2.11). Student's quantile takes Satterthwaite's degrees of freedom (1946, Biometrics Bulletin 2:110): few
repetitions that differ much give wide intervals. An interval covers other repetitions and other clusters alike; with a
single repetition it covers other clusters only, and `method` says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.statistics.clusters import count_clusters, effective_clusters, standard_error
from bamkit.common.statistics.estimate import Estimate, normal_quantile
from bamkit.common.statistics.proportions import wilson_bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bamkit.common.statistics.clusters import Clusters

BOTH, CASES = "seeds and clusters", "clusters only"
"""The methods of an Estimate made here: what its interval covers."""


@dataclass(frozen=True)
class Side:
    """The cases of one kind that a figure is made from: a distance between two sets has two sides."""

    influence: NDArray[np.float64]
    """(S, n) by how much a case moves a repetition's figure, up to a constant: of a mean, the values themselves."""
    clusters: Clusters = None
    """(n,) the number of each case's cluster; None where none is known."""


@dataclass(frozen=True)
class Repeated:
    """One figure, measured in every repetition on the same cases."""

    values: NDArray[np.float64]
    """(S,) the figure of each repetition."""
    sides: tuple[Side, ...]
    fixed: bool = False
    """Whether another repetition would give the same: a baseline without training."""

    @classmethod
    def mean(cls, values: NDArray[np.float64], clusters: Clusters = None, fixed: bool = False) -> Repeated:
        """The mean of (S, n) values over n cases."""
        return cls(values.mean(axis=1), (Side(values, clusters),), fixed)


def mean_over(repeated: Repeated, confidence: float = 0.95) -> Estimate:
    """The figure's mean over the repetitions, with an interval over repetitions and clusters."""
    return _combined([(1.0, repeated)], confidence)


def difference_over(a: Repeated, b: Repeated, confidence: float = 0.95) -> Estimate:
    """The mean of `a` less that of `b`, measured on the same cases in the same order; repetitions are not paired."""
    return _combined([(1.0, a), (-1.0, b)], confidence)


def share_difference_over(a: Repeated, b: Repeated, confidence: float = 0.95) -> Estimate:
    """`difference_over` of two shares, whose sides are 0 and 1; within [-1, 1].

    The variance is taken with two clusters of mean size added, one that only `a` hits and one that only `b` does: else
    two shares of 1 would be certain to be equal. As Agresti and Min 2005 (Statistics in Medicine 24:729) add pairs.
    """
    plain = _combined([(1.0, a), (-1.0, b)], confidence)
    wide = _combined([(1.0, _with_both(a, 1.0)), (-1.0, _with_both(b, 0.0))], confidence)
    reach = (wide.high - wide.low) / 2
    return replace(plain, low=max(-1.0, plain.value - reach), high=min(1.0, plain.value + reach))


def share_over(
    hits: NDArray[np.bool_], clusters: Clusters = None, fixed: bool = False, confidence: float = 0.95
) -> Estimate:
    """The share of True among (S, n) `hits`, with Wilson's interval for as many cases as tell as much.

    As `share` does, the variance is taken with one cluster of hits and one of misses added, each of mean size: else
    cases that are all hits would seem certain. At most S n cases count.
    """
    runs, n = hits.shape
    more = _with_both(Repeated.mean(hits.astype(float), clusters, fixed), 1.0)
    parts = [(1.0, more)]
    variance, freedom = _variance(parts)
    p, value = float(more.values.mean()), float(hits.mean())
    effective = min(p * (1 - p) / variance * n / more.sides[0].influence.shape[1], float(runs * n))
    left = min(1.0, (normal_quantile(confidence) / _student(freedom, confidence)) ** 2)
    bounds = wilson_bounds(value, max(1.0, effective * left), confidence)
    return Estimate(value, *bounds, n, _method(parts), confidence, count_clusters(clusters))


def _with_both(share: Repeated, first: float) -> Repeated:
    """A share with two clusters of mean size added, one whose cases are all `first` and one of all 1 - `first`."""
    side = share.sides[0]
    runs, n = side.influence.shape
    each = _numbered(side.clusters, n)
    groups = int(each.max()) + 1
    size = max(1, round(n / groups))
    added = [np.full((runs, size), value) for value in (first, 1 - first)]
    places = np.append(each, np.repeat([groups, groups + 1], size))
    return Repeated.mean(np.concatenate([side.influence, *added], axis=1), places, share.fixed)


def _combined(parts: Sequence[tuple[float, Repeated]], confidence: float) -> Estimate:
    value = float(sum(weight * part.values.mean() for weight, part in parts))
    first = parts[0][1].sides[0]
    n, known = first.influence.shape[1], count_clusters(first.clusters)
    variance, freedom = _variance(parts)
    reach = _student(freedom, confidence) * math.sqrt(variance) if variance == variance else math.nan
    return Estimate(value, value - reach, value + reach, n, _method(parts), confidence, known)


def _variance(parts: Sequence[tuple[float, Repeated]]) -> tuple[float, float]:
    """The variance of a weighted sum of means over repetitions, and its degrees of freedom; NaN without clusters."""
    components: list[tuple[float, float]] = []
    seeds = clusters = both = 0.0
    for weight, part in parts:
        runs = len(part.values)
        if not part.fixed and runs > 1:
            seeds_k = weight**2 * float(part.values.var(ddof=1)) / runs
            seeds += seeds_k
            components.append((seeds_k, runs - 1))
            both += weight**2 * sum(_interaction(side) for side in part.sides)
    for place, side in enumerate(parts[0][1].sides):
        total = sum(weight * part.sides[place].influence.mean(axis=0) for weight, part in parts)
        each = np.arange(total.size) if side.clusters is None else side.clusters
        clusters_j = standard_error(total, each) ** 2
        clusters += clusters_j
        components.append((clusters_j, max(0.5, effective_clusters(each) - 1)))
    variance = max(seeds + clusters - both, seeds, clusters)
    if not variance > 0:
        return variance, math.inf
    freedom = variance**2 / sum(part**2 / df for part, df in components)
    return variance, max(freedom, min(df for _, df in components))


def _interaction(side: Side) -> float:
    """The variance of a mean over repetitions and cases that comes from neither alone."""
    influence = side.influence
    runs, n = influence.shape
    each = _numbered(side.clusters, n)
    groups = int(each.max()) + 1
    if groups < 2:
        return 0.0
    rest = influence - influence.mean(axis=0) - influence.mean(axis=1, keepdims=True) + influence.mean()
    totals = np.stack([np.bincount(each, row, groups) for row in rest])
    corrected = runs / (runs - 1) * groups / (groups - 1)
    return float(corrected * np.square(totals).sum() / (runs * n) ** 2)


def _numbered(clusters: Clusters, n: int) -> NDArray[np.int64]:
    """(n,) cluster numbers from 0 without gaps; every case its own where none is known."""
    return np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1].astype(np.int64)


def _student(freedom: float, confidence: float) -> float:
    if not freedom < math.inf:
        return normal_quantile(confidence)
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


def _method(parts: Sequence[tuple[float, Repeated]]) -> str:
    return CASES if all(part.fixed or len(part.values) < 2 for _, part in parts) else BOTH
