"""The statistics behind reports, balance tables, matching and audits: pure functions of arrays.

Intervals are two-sided. An estimate from nothing is NaN (its interval the whole range), never zero. scipy and
scikit-learn are imported where they are used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bamkit.common import intervals
from bamkit.common.intervals import Estimate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Interval(NamedTuple):
    """The bounds of a confidence interval."""

    low: float
    high: float


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The bounds of `bamkit.common.intervals.wilson`: within [0, 1], and (0, 1) where n is 0.

    Raises ValueError unless 0 <= successes <= n and 0 < confidence < 1.
    """
    found = intervals.wilson(successes, n, confidence)
    return Interval(found.low, found.high)


def normal_quantile(confidence: float) -> float:
    """z with P(|Z| <= z) = confidence: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def difference_of_proportions(
    successes_a: int, n_a: int, successes_b: int, n_b: int, confidence: float = 0.95
) -> Interval:
    """The interval of p_a - p_b for two independent samples, within [-1, 1].

    Source: Newcombe 1998, Statistics in Medicine 17:873, method 10 (built from the two Wilson intervals).
    """
    low_a, high_a = wilson(successes_a, n_a, confidence)
    low_b, high_b = wilson(successes_b, n_b, confidence)
    if n_a == 0 or n_b == 0:
        return Interval(-1.0, 1.0)
    a, b = successes_a / n_a, successes_b / n_b
    return Interval(a - b - math.hypot(a - low_a, high_b - b), a - b + math.hypot(high_a - a, b - low_b))


def bootstrap_mean(values: ArrayLike, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """The bounds of `intervals.bootstrap_mean`, NaN left out first; (NaN, NaN) from fewer than two values."""
    found = intervals.bootstrap_mean(finite(values), confidence, seed, resamples)
    return Interval(found.low, found.high)


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
        found = joint * n / (a * b)
    return np.where(np.isfinite(found), found, np.nan)


def pmi(joint: ArrayLike, a: ArrayLike, b: ArrayLike, n: float) -> NDArray[np.float64]:
    """Pointwise mutual information in bits: log2 of the lift; -infinity where two things never meet.

    Source: Church and Hanks 1990, Computational Linguistics 16:22.
    """
    with np.errstate(divide="ignore"):
        return np.log2(lift(joint, a, b, n))


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive outranks a negative. NaN where one class is absent."""
    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    if labels.all() or not labels.any():
        return math.nan
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


def auc_interval(labels: ArrayLike, scores: ArrayLike, confidence: float = 0.95) -> Interval:
    """The interval of `auc`, on the logit scale so that it stays within [0, 1].

    Source: DeLong et al. 1988, Biometrics 44:837, with the placements found by ranks as in Sun and Xu 2014.
    """
    from scipy.stats import rankdata

    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    positive, negative = scores[labels], scores[~labels]
    m, n = positive.size, negative.size
    if m < 2 or n < 2:
        return Interval(0.0, 1.0)
    everyone = rankdata(np.concatenate([positive, negative]))
    beaten = (everyone[:m] - rankdata(positive)) / n
    outranked = 1 - (everyone[m:] - rankdata(negative)) / m
    area, error = beaten.mean(), math.sqrt(beaten.var(ddof=1) / m + outranked.var(ddof=1) / n)
    if not 0 < area < 1:
        return Interval(float(area), float(area))
    middle, half = math.log(area / (1 - area)), normal_quantile(confidence) * error / (area * (1 - area))
    return Interval(_logistic(middle - half), _logistic(middle + half))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """The mean precision at the rank of each positive (no interpolation). NaN where there is no positive."""
    labels = np.asarray(labels, dtype=bool)
    if not labels.any():
        return math.nan
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, np.asarray(scores, dtype=np.float64)))


def average_precision_interval(
    labels: ArrayLike, scores: ArrayLike, confidence: float = 0.95, resamples: int = 400, seed: int = 0
) -> Interval:
    """The percentile bootstrap interval of `average_precision`, items drawn with replacement within each class.

    Drawing within the classes keeps the prevalence (on which average precision depends) at that of the sample. More
    than 500 distinct scores are drawn in 500 groups of neighbours, and the bounds moved by what grouping changed.
    """
    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    if not labels.any():
        return Interval(math.nan, math.nan)
    order = np.argsort(-scores, kind="stable")
    labels, scores = labels[order], scores[order]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(scores)) + 1])
    if starts.size > 500:
        starts = np.unique(starts[np.searchsorted(starts, np.linspace(0, scores.size, 500, endpoint=False))])
    positive, negative = (
        np.add.reduceat(labels, starts, dtype=np.int64),
        np.add.reduceat(~labels, starts, dtype=np.int64),
    )
    random = np.random.default_rng(seed)
    # How often each group is drawn is multinomial: no need to draw the items one by one.
    hits = random.multinomial(positive.sum(), positive / positive.sum(), size=resamples)
    misses = (
        random.multinomial(negative.sum(), negative / max(1, negative.sum()), size=resamples) if negative.any() else 0
    )
    low, high = _percentiles(_average_precisions(hits, misses), confidence)
    moved = average_precision(labels, scores) - float(_average_precisions(positive[None], negative[None])[0])
    return Interval(max(0.0, low + moved), min(1.0, high + moved))


def _average_precisions(hits: NDArray[np.int64], misses: NDArray[np.int64] | int) -> NDArray[np.float64]:
    """Average precision of each row of (resamples, groups) counts, best group first."""
    true = np.cumsum(hits, axis=1)
    seen = true + np.cumsum(misses, axis=1) if isinstance(misses, np.ndarray) else true
    precision = true / np.maximum(seen, 1)
    return (hits * precision).sum(axis=1) / true[:, -1]


def precision_recall(labels: ArrayLike, predicted: ArrayLike, confidence: float = 0.95) -> tuple[Estimate, Estimate]:
    """Precision (true among predicted) and recall (predicted among true), each with its Wilson interval."""
    labels, predicted = np.asarray(labels, dtype=bool), np.asarray(predicted, dtype=bool)
    true = int((labels & predicted).sum())
    return (
        intervals.wilson(true, int(predicted.sum()), confidence),
        intervals.wilson(true, int(labels.sum()), confidence),
    )


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram."""

    low: float
    """The bin holds scores in [low, high); the last bin includes its upper edge."""
    high: float
    expected: float
    """The mean of the predicted probabilities in the bin (NaN where it is empty)."""
    observed: Estimate
    """The share of the bin's items that are positive, with its Wilson interval."""


def calibration(
    labels: ArrayLike, scores: ArrayLike, edges: ArrayLike, probabilities: ArrayLike, confidence: float = 0.95
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
        n = int(inside.sum())
        expected = float(probabilities[inside].mean()) if n else math.nan
        observed = intervals.wilson(int(labels[inside].sum()), n, confidence)
        bins.append(Bin(float(edges[index]), float(edges[index + 1]), expected, observed))
    return bins


def expected_calibration_error(bins: list[Bin]) -> float:
    """The mean over items of |observed share - expected probability| of their bin; NaN where all bins are empty.

    Source: Naeini et al. 2015, AAAI.
    """
    n = sum(one.observed.n for one in bins)
    if not n:
        return math.nan
    return sum(one.observed.n * abs(one.observed.value - one.expected) for one in bins if one.observed.n) / n


def quantiles_of_histogram(counts: ArrayLike, edges: ArrayLike, q: ArrayLike) -> NDArray[np.float64]:
    """The `q` quantiles of data known only as a histogram, each bin taken as evenly filled; NaN where it is empty.

    `counts` has k entries, `edges` k + 1.
    """
    counts, edges = np.asarray(counts, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    total = counts.sum()
    if not total:
        return np.full(np.shape(q), np.nan)
    return np.interp(np.asarray(q, dtype=np.float64) * total, np.append(0.0, np.cumsum(counts)), edges)


def finite(values: ArrayLike) -> NDArray[np.float64]:
    """`values` as a flat float64 array without NaN and infinities."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def _percentiles(found: NDArray[np.float64], confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Interval(float(low), float(high))
