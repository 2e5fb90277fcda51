"""Every interval that is shown covers about as often as it says, by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from bamkit.common import statistics as s


def coverage(draw, truth, repeats, seed=0):
    """The share of `repeats` intervals that hold `truth`; `draw(random)` gives an Estimate."""
    random = np.random.default_rng(seed)
    found = [draw(random) for _ in range(repeats)]
    return float(np.mean([each.low <= truth <= each.high for each in found]))


def least(draws, covers=0.95):
    """The share of `draws` intervals that hold the truth, once in a thousand tests less where each does by `covers`.

    At 200 draws 0.9: of intervals that cover by 0.88, four in five tests fail.
    """
    return stats.binom.ppf(0.001, draws, covers) / draws


def ranked(positives, negatives, separation, statistic):
    """An Estimate of normal scores, those of positives `separation` higher."""
    labels = np.arange(positives + negatives) < positives
    return lambda random: statistic(labels, random.normal(labels * separation, 1.0))


def true_average_precision(share, separation):
    """The expectation of the precision at a positive's score, in the population with that share of positives."""
    x = np.linspace(-8, 12, 20_001)
    true, false = share * stats.norm.sf(x, separation), (1 - share) * stats.norm.sf(x)
    return float(np.trapezoid(stats.norm.pdf(x, separation) * true / (true + false + 1e-300), x))


# (positives, negatives, separation in deviations): few and many cases, rare and common positives, hard and easy.
FEW = [(4, 16, 1.2), (10, 10, 2.5), (60, 140, 1.2)]
MORE = [(2, 18, 0.5), (2, 18, 2.5), (6, 14, 0.0), (6, 14, 1.2), (10, 10, 0.5), (10, 10, 1.2), (5, 45, 0.0),
        (5, 45, 1.2), (25, 25, 0.5), (25, 25, 2.5), (20, 180, 0.0), (20, 180, 2.5), (100, 100, 0.5),
        (100, 100, 1.2)]  # fmt: skip
SLOW = pytest.mark.slow
CASES = pytest.mark.parametrize(
    ("positives", "negatives", "separation"), [*FEW, *(pytest.param(*case, marks=SLOW) for case in MORE)]
)


@CASES
def test_average_precision_covers(positives, negatives, separation, request):
    slow = request.node.get_closest_marker("slow") is not None
    truth = true_average_precision(positives / (positives + negatives), separation)
    found = coverage(ranked(positives, negatives, separation, s.average_precision), truth, 200 if slow else 120)
    # At two positives the value jumps between a few levels; elsewhere at least about 95 %, and not the whole range.
    assert found >= (least(200, 0.9 if positives == 2 else 0.95) if slow else 0.91)


@CASES
def test_auc_covers(positives, negatives, separation, request):
    slow = request.node.get_closest_marker("slow") is not None
    truth = float(stats.norm.cdf(separation / math.sqrt(2)))
    found = coverage(ranked(positives, negatives, separation, s.auc), truth, 200 if slow else 120)
    assert found >= (least(200) if slow else 0.9)


@pytest.mark.parametrize(
    ("p", "n"),
    [(0.02, 50), (0.3, 20), (0.9, 200), *(pytest.param(p, n, marks=SLOW) for p in (0.1, 0.5) for n in (5, 1000))],
)
def test_wilson_covers(p, n):
    """Exactly: the chance of every count times whether its interval holds p."""
    held = [s.wilson(k, n).low <= p <= s.wilson(k, n).high for k in range(n + 1)]
    assert stats.binom.pmf(np.arange(n + 1), n, p) @ held >= 0.91


@pytest.mark.parametrize(("p", "q", "n", "m"), [(0.3, 0.5, 12, 20), (0.05, 0.1, 60, 40), (0.9, 0.9, 25, 25)])
def test_difference_of_proportions_covers(p, q, n, m):
    weights = np.outer(stats.binom.pmf(np.arange(n + 1), n, p), stats.binom.pmf(np.arange(m + 1), m, q))
    held = [[each.low <= p - q <= each.high for each in (s.difference_of_proportions(a, n, b, m) for b in range(m + 1))]
            for a in range(n + 1)]  # fmt: skip
    assert (weights * np.array(held)).sum() >= 0.93


@pytest.mark.parametrize("n", [8, 20, pytest.param(5, marks=SLOW), pytest.param(200, marks=SLOW)])
def test_bootstrap_mean_covers(n):
    """Few values of a normal distribution: the plain percentile interval holds the mean 83 % of the time at n = 5."""
    found = coverage(lambda random: s.bootstrap_mean(random.normal(3, 2, n)), 3, 300)
    assert 0.89 <= found <= 0.98


def test_bootstrap_mean_covers_skewed_values():
    found = coverage(lambda random: s.bootstrap_mean(random.exponential(1.0, 60), resamples=500), 1, 300)
    assert found >= 0.9
