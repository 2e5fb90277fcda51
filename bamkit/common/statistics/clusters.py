"""Cases that come in clusters, such as pictures of one project, tell less than as many independent ones.

Clusters are given as (n,) int64 numbers, one a case; None where they are not known. Where every case is a cluster of
its own, all that is computed here and from it equals what is computed without clusters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Clusters: TypeAlias = NDArray[np.int64] | None


def clusters_of(keys: Iterable[Any]) -> Clusters:
    """(n,) the number of each case's cluster, in order of appearance; cases of one key are one cluster.

    A case whose key is None or NaN is a cluster of its own. None where no case has a key: nothing is known then.
    """
    numbers: dict[Any, int] = {}
    found, known = [], False
    for place, key in enumerate(keys):
        missing = key is None or key != key
        known |= not missing
        found.append(numbers.setdefault(("none", place) if missing else key, len(numbers)))
    return np.array(found, np.int64) if known else None


def count_clusters(clusters: Clusters) -> int | None:
    """How many clusters there are; None where they are not known."""
    return None if clusters is None else int(np.unique(clusters).size)


def subset(clusters: Clusters, rows: NDArray[Any]) -> Clusters:
    """The clusters of some of the cases (row numbers, or bool); None where they are not known."""
    return None if clusters is None else clusters[rows]


def cases_text(n: int, clusters: int | None, what: str = "images") -> str:
    """What a figure rests on: `60 images of 22 projects`, or `60 images, projects unknown`."""
    projects = "1 project" if clusters == 1 else f"{clusters:,} projects" if clusters else ""
    return f"{n:,} {what.removesuffix('s') if n == 1 else what}" + (
        f" of {projects}" if projects else ", projects unknown"
    )


def sums(values: ArrayLike, clusters: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The sum of the values in each cluster and its size, clusters in order of appearance."""
    _, first, inverse = np.unique(clusters, return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))[inverse]
    weights = np.asarray(values, dtype=np.float64)
    return np.bincount(place, weights).astype(np.float64), np.bincount(place).astype(np.float64)


def standard_error(values: ArrayLike, clusters: Clusters = None) -> float:
    """The clustered standard error of the mean of (n,) values; NaN for fewer than two clusters.

    sqrt(G / (G - 1) sum_c (sum_i in c (x_i - mean))^2) / n with G clusters: that of independent cases plus all products
    of two cases of one cluster. Source: Miller 2024, arXiv:2411.00640, section 2.2, with the correction for few
    clusters of Cameron and Miller 2015, Journal of Human Resources 50:317, section II.C.
    """
    values = np.asarray(values, dtype=np.float64)
    clusters = np.arange(values.size) if clusters is None else clusters
    if np.unique(clusters).size < 2:
        return math.nan
    totals, _ = sums(values - values.mean(), clusters)
    return math.sqrt(totals.size / (totals.size - 1) * float(totals @ totals)) / values.size


def effective_clusters(clusters: NDArray[np.int64]) -> float:
    """n^2 / (sum of squared sizes): as many clusters of one size would weigh evenly (Kish 1965); G for equal sizes.

    Carter, Schnepel and Steigerwald 2017, Review of Economics and Statistics 99:698: it stands for the number of
    clusters in the degrees of freedom, as few large ones decide.
    """
    _, sizes = sums(clusters, clusters)
    return float(sizes.sum() ** 2 / (sizes @ sizes))


def student_quantile(clusters: NDArray[np.int64], confidence: float) -> float:
    """Student's quantile with one degree of freedom fewer than there are effective clusters, at least a half."""
    from scipy.special import stdtrit

    return float(stdtrit(max(0.5, effective_clusters(clusters) - 1), (1 + confidence) / 2))


def fewer(clusters: NDArray[np.int64], confidence: float) -> float:
    """The share of cases that is left when few clusters are all there is to estimate a variance from, in (0, 1].

    (t of n - 1 degrees / t of the clusters')^2. Source: Korn and Graubard 1998, Survey Methodology 24:193.
    """
    from scipy.special import stdtrit

    independent = float(stdtrit(max(1, clusters.size - 1), (1 + confidence) / 2))
    return min(1.0, (independent / student_quantile(clusters, confidence)) ** 2)


def effective_size(hits: ArrayLike, clusters: Clusters, confidence: float = 0.95) -> float:
    """As many independent cases tell as much about the share of `hits` (bool, (n,)); between 1 and n.

    n over the design effect, the clustered variance over the binomial one, at least 1 (Kish 1965). For it one cluster
    of hits and one of misses are added, each of mean size, as Agresti and Coull 1998 add cases: else cases that are all
    hits would seem independent.
    """
    share = np.asarray(hits, dtype=np.float64)
    if clusters is None or not share.size:
        return float(share.size)
    totals, sizes = sums(share, clusters)
    if totals.size < 2:
        return 1.0
    totals, sizes = np.append(totals, [sizes.mean(), 0.0]), np.append(sizes, [sizes.mean()] * 2)
    n, groups = sizes.sum(), totals.size
    p = totals.sum() / n
    variance = groups / (groups - 1) * float(np.square(totals - sizes * p).sum()) / n**2
    effect = max(1.0, float(variance / (p * (1 - p) / (n - 1))))
    return max(1.0, share.size / effect * fewer(clusters, confidence))
