"""Whether probabilities are true: reliability by bins, expected calibration error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.statistics.clusters import subset
from bamkit.common.statistics.estimate import Estimate
from bamkit.common.statistics.proportions import share

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bamkit.common.statistics.clusters import Clusters


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram."""

    low: float
    """The bin holds scores in [low, high); the last bin includes its upper edge."""
    high: float
    expected: float
    """Mean predicted probability of the bin's items; NaN where it is empty."""
    observed: Estimate
    """The share of the bin's items that are positive, with the interval of `share`."""


def calibration(
    labels: ArrayLike,
    scores: ArrayLike,
    edges: ArrayLike,
    probabilities: ArrayLike,
    clusters: Clusters = None,
    confidence: float = 0.95,
) -> list[Bin]:
    """Observed share of positives in bins of `scores` beside the mean of the predicted `probabilities`.

    `labels`, `scores` and `probabilities` have one length; `edges` are k + 1 increasing numbers for k bins (scores
    outside them are left out). Source: DeGroot and Fienberg 1983, The Statistician 32:12.
    """
    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    probabilities, edges = np.asarray(probabilities, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    place = np.searchsorted(edges, scores, side="right") - 1
    place[scores == edges[-1]] = edges.size - 2
    bins = []
    for index in range(edges.size - 1):
        inside = place == index
        expected = float(probabilities[inside].mean()) if inside.any() else math.nan
        observed = share(labels[inside], subset(clusters, inside), confidence)
        bins.append(Bin(float(edges[index]), float(edges[index + 1]), expected, observed))
    return bins


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """The mean over items of |observed share - expected probability| of their bin; NaN where all bins are empty.

    Source: Naeini et al. 2015, AAAI.
    """
    n = sum(each.observed.n for each in bins)
    if not n:
        return math.nan
    return sum(each.observed.n * abs(each.observed.value - each.expected) for each in bins if each.observed.n) / n
