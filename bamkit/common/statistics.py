"""Estimates with intervals, and the statistics behind reports, matching, audits and evaluation.

Pure functions of arrays. Intervals are two-sided and of level `confidence`; `tests/test_coverage.py` shows by
simulation how often each covers. An estimate from nothing is NaN, its interval the whole range, never zero. scipy and
scikit-learn take up to three seconds to import and are imported where they are used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


BALANCED = 0.1
"""|SMD| below this is customarily called balanced (Austin 2009, Statistics in Medicine 28:3083)."""

DEVIATION = "deviation"
"""The method of an Estimate whose bounds are one standard deviation away."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval and the number of cases behind it. `low` and `high` are NaN where there is none."""

    value: float
    """The estimate itself."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    n: int
    """How many independent cases the estimate rests on."""
    method: str = ""
    """How the interval was made: `wilson`, `bootstrap` ..."""
    confidence: float = 0.95
    """Coverage the interval aims at, in (0, 1)."""

    def __str__(self) -> str:
        """`0.71 [0.61, 0.79]`, `17.630 ± 0.007` for a deviation, the bare value without an interval, "" for NaN."""
        if math.isnan(self.value):
            return ""
        error = (self.high - self.low) / 2
        value = number_text(self.value, error)
        if math.isnan(error):
            return value
        if self.method == DEVIATION:
            return f"{value} ± {number_text(error, error)}"
        return f"{value} [{number_text(self.low, error)}, {number_text(self.high, error)}]"

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Estimate:
        """The inverse of `as_dict`: None becomes NaN."""
        fields: dict[str, Any] = {name: math.nan if value is None else value for name, value in plain.items()}
        return cls(**fields)

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values; NaN and infinities become None."""
        plain = asdict(self)
        return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in plain.items()}


def number_text(value: float, error: float) -> str:
    """`value` with the digits that its error leaves: the error's first one, two where that is 1 or 2.

    Three significant digits, and all before the point, where the error is NaN or 0.
    """
    if error > 0:
        places = max(0, -math.floor(math.log10(error / 3)))
    elif value:
        places = max(0, 2 - math.floor(math.log10(abs(value))))
    else:
        places = 0
    text = f"{value:,.{places}f}"
    if not error > 0 and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "\N{MINUS SIGN}")


def normal_quantile(confidence: float) -> float:
    """z with P(|Z| <= z) = confidence: 1.96 for 0.95. Raises ValueError unless 0 < confidence < 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not in (0, 1)")
    return NormalDist().inv_cdf((1 + confidence) / 2)


# --- proportions ---


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """The proportion `successes / n` with Wilson's score interval; [0, 1] where n is 0.

    Raises ValueError unless 0 <= successes <= n. Source: Wilson 1927, JASA 22:209.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"no proportion: {successes} of {n}")
    value = successes / n if n else math.nan
    return Estimate(value, *_wilson_bounds(value, n, confidence), n, "wilson", confidence)


def _wilson_bounds(p: float, n: float, confidence: float) -> tuple[float, float]:
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


# --- means ---


def bootstrap_mean(values: ArrayLike, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Estimate:
    """The mean of `values` with the expanded percentile bootstrap interval; seeded, so repeatable.

    The plain percentile interval is too narrow by about sqrt((n - 1) / n) z / t: the percentiles taken are those that
    make it as wide as Student's interval for normal data. Fewer than two values give no interval (NaN). At most half a
    million draws are in memory at once. Raises ValueError if a value is NaN: see `finite`.
    Source: Hesterberg 2015, The American Statistician 69:371, section 3.3.
    """
    values = np.asarray(values, dtype=np.float64).ravel()
    if np.isnan(values).any():
        raise ValueError("values hold nan: leave the missing ones out")
    n = values.size
    if n < 2:
        return Estimate(float(values[0]) if n else math.nan, math.nan, math.nan, n, "bootstrap", confidence)
    from scipy.special import stdtrit

    random = np.random.default_rng(seed)
    block = max(1, min(resamples, 500_000 // n))
    means = np.empty(resamples)
    for start in range(0, resamples, block):
        stop = min(start + block, resamples)
        means[start:stop] = values[random.integers(0, n, (stop - start, n))].mean(axis=1)
    tail = NormalDist().cdf(math.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - confidence) / 2))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(values.mean()), float(low), float(high), n, "bootstrap", confidence)


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


def finite(values: ArrayLike) -> NDArray[np.float64]:
    """`values` as a flat float64 array without NaN and infinities."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


# --- co-occurrence ---


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


# --- ranking ---


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
    return Estimate(value, *_wilson_bounds(value, positives, confidence), labels.size, "wilson", confidence)


# --- calibration ---


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram."""

    low: float
    """The bin holds scores in [low, high); the last bin includes its upper edge."""
    high: float
    expected: float
    """Mean predicted probability of the bin's items; NaN where it is empty."""
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
        observed = wilson(int(labels[inside].sum()), n, confidence)
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
