"""Every statistic against a closed form, published figures, scipy or scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bamkit.common import statistics as s


def bounds(estimate):
    return estimate.low, estimate.high


@pytest.mark.parametrize(
    ("successes", "n", "confidence"), [(0, 10, 0.95), (81, 263, 0.95), (7, 7, 0.9), (1, 1000, 0.99)]
)
def test_wilson_agrees_with_scipy(successes, n, confidence):
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    found = s.wilson(successes, n, confidence)
    assert (found.value, found.n) == (successes / n, n)
    assert bounds(found) == pytest.approx((expected.low, expected.high), abs=1e-12)


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 400), st.floats(0.5, 0.999))
def test_wilson_holds_the_share_and_mirrors(a, b, confidence):
    low, high = bounds(s.wilson(a, a + b, confidence))
    assert 0 <= low <= high <= 1
    if a + b:
        assert low <= a / (a + b) <= high
    assert bounds(s.wilson(b, a + b, confidence)) == pytest.approx((1 - high, 1 - low))


def test_wilson_knows_nothing_from_nothing_and_refuses_nonsense():
    assert bounds(s.wilson(0, 0)) == (0.0, 1.0)
    for successes, n in ((3, 2), (-1, 5)):
        with pytest.raises(ValueError, match="of"):
            s.wilson(successes, n)
    with pytest.raises(ValueError, match="confidence"):
        s.wilson(1, 2, confidence=1.0)


@pytest.mark.parametrize(
    ("counts", "expected"),
    # Newcombe 1998, table II, method 10: examples (a), (c), (e) and (h).
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((6, 7, 2, 7), (0.0582, 0.8062)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((10, 10, 0, 10), (0.6075, 1.0000)),
    ],
)
def test_difference_of_proportions_gives_the_published_intervals(counts, expected):
    found = s.difference_of_proportions(*counts)
    assert bounds(found) == pytest.approx(expected, abs=5.1e-5)
    assert found.value == pytest.approx(counts[0] / counts[1] - counts[2] / counts[3])


def test_difference_of_proportions_of_nothing():
    assert bounds(s.difference_of_proportions(0, 0, 3, 5)) == (-1.0, 1.0)


def test_bootstrap_mean_is_seeded_close_to_t_and_refuses_nan():
    values = np.random.default_rng(5).normal(3.0, 2.0, size=800)
    found = s.bootstrap_mean(s.finite([*values, math.nan]), seed=1)
    assert found == s.bootstrap_mean(values, seed=1)
    assert found != s.bootstrap_mean(values, seed=2)
    assert (found.value, found.n) == (values.mean(), 800)
    expected = stats.t.interval(0.95, 799, values.mean(), stats.sem(values))
    assert bounds(found) == pytest.approx(expected, abs=0.02)
    assert all(math.isnan(bound) for bound in bounds(s.bootstrap_mean([])))
    assert math.isnan(s.bootstrap_mean([1.0]).low)
    with pytest.raises(ValueError, match="nan"):
        s.bootstrap_mean([1.0, math.nan])


def test_bootstrap_mean_of_few_values_is_as_wide_as_students():
    values = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0])
    found = s.bootstrap_mean(values, resamples=20_000)
    expected = stats.t.interval(0.95, 5, values.mean(), stats.sem(values))
    assert found.high - found.low == pytest.approx(expected[1] - expected[0], rel=0.1)


def test_bootstrap_mean_of_more_values_than_one_block_of_draws():
    # 500,000 draws a block: 3,000 values and 2,000 resamples need twelve.
    values = np.arange(3000.0)
    low, high = bounds(s.bootstrap_mean(values))
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(3000), rel=0.1)


def test_standardised_mean_difference():
    a, b = np.array([1.0, 2, 3, 4]), np.array([2.0, 4, 6])
    expected = (2.5 - 4) / math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    assert s.standardised_mean_difference([*a, math.nan], b) == pytest.approx(expected)
    assert s.standardised_mean_difference(b, a) == pytest.approx(-expected)
    assert s.standardised_mean_difference([1, 1], [1, 1]) == 0
    assert s.standardised_mean_difference([1, 1], [2, 2]) == -math.inf
    assert math.isnan(s.standardised_mean_difference([], [1.0]))


def test_standardised_difference_of_shares_is_that_of_the_indicators():
    a, b = np.repeat([1.0, 0.0], [300, 700]), np.repeat([1.0, 0.0], [450, 550])
    assert s.standardised_difference_of_shares(0.3, 0.45) == pytest.approx(
        s.standardised_mean_difference(a, b), rel=1e-3
    )
    assert s.standardised_difference_of_shares(0.0, 0.0) == 0
    assert s.standardised_difference_of_shares(1.0, 0.0) == math.inf
    assert math.isnan(s.standardised_difference_of_shares(math.nan, 0.5))


def test_lift_and_pmi():
    # 100 items, a in 20, b in 30: 6 together is independence.
    assert s.lift(6, 20, 30, 100) == pytest.approx(1)
    assert s.pmi([6, 12, 3, 0], 20, 30, 100) == pytest.approx([0, 1, -1, -math.inf])
    assert np.isnan(s.lift(0, 0, 30, 100))
    grid = s.lift(np.array([[20, 6], [6, 30]]), np.array([[20], [30]]), np.array([20, 30]), 100)
    assert grid == pytest.approx(np.array([[5, 1], [1, 100 / 30]]))


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=60))
def test_auc_is_the_chance_that_a_positive_wins(pairs):
    wins = [(p > q) + (p == q) / 2 for a, p in pairs if a for b, q in pairs if not b]
    found = s.auc([label for label, _ in pairs], [score for _, score in pairs]).value
    assert found == pytest.approx(np.mean(wins)) if wins else math.isnan(found)


def test_auc_interval_agrees_with_the_bootstrap_and_stays_inside():
    random = np.random.default_rng(3)
    labels = random.random(600) < 0.4
    scores = np.round(random.normal(labels * 0.8, 1.0), 1)  # rounded, so that there are ties
    draws = [random.integers(0, 600, 600) for _ in range(400)]
    expected = np.quantile([stats.mannwhitneyu(scores[d][labels[d]], scores[d][~labels[d]]).statistic
                            / (labels[d].sum() * (~labels[d]).sum()) for d in draws], [0.025, 0.975])  # fmt: skip
    assert bounds(s.auc(labels, scores)) == pytest.approx(tuple(expected), abs=0.015)
    perfect, reversed_ = s.auc([True, True, False, False], [3, 2, 1, 0]), s.auc([True, False], [0, 1])
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert 0.2 < perfect.low < 0.7
    assert (reversed_.value, reversed_.low) == (0.0, 0.0)
    assert bounds(s.auc([True, True], [1, 0])) == (0.0, 1.0)


@pytest.mark.parametrize(("area", "m", "n"), [(0.92, 15, 40), (0.5, 8, 8), (0.99, 200, 100), (0.05, 20, 30)])
def test_auc_interval_solves_newcombes_equation(area, m, n):
    """At either end the estimate lies z deviations away, with Hanley and McNeil's variance at that end."""
    wins = np.zeros(m * n)
    wins[: round(area * m * n)] = 1
    labels = np.repeat([True, False], [m, n])
    # Scores with exactly that share of wins: each positive beats so many negatives as its part of the wins says.
    beaten = wins.reshape(m, n).sum(axis=1)
    scores = np.concatenate([beaten - 0.5, np.arange(n)])
    found = s.auc(labels, scores)
    assert found.value == pytest.approx(area, abs=0.01)
    for end in bounds(found):
        q1, q2, size = end / (2 - end), 2 * end * end / (1 + end), (m + n) / 2 - 1
        variance = (end * (1 - end) + size * (q1 - end**2) + size * (q2 - end**2)) / (m * n)
        assert abs(found.value - end) == pytest.approx(1.959964 * math.sqrt(variance), rel=1e-4)


def test_average_precision_by_hand_and_its_interval():
    labels, scores = [True, False, True, False], [4, 3, 2, 1]
    found = s.average_precision(labels, scores)
    assert found.value == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found.n == 4
    assert math.isnan(s.average_precision([False], [1.0]).value)
    assert bounds(s.average_precision([False], [1.0])) == (0.0, 1.0)
    random = np.random.default_rng(4)
    labels = random.random(500) < 0.3
    scores = np.round(random.normal(labels, 1.0), 1)
    positive, negative = np.flatnonzero(labels), np.flatnonzero(~labels)
    draws = [
        np.concatenate([random.choice(positive, positive.size), random.choice(negative, negative.size)])
        for _ in range(300)
    ]
    low, high = np.quantile([s.average_precision(labels[d], scores[d]).value for d in draws], [0.025, 0.975])
    found = s.average_precision(labels, scores)
    assert found.low < low < found.value < high < found.high
    assert found.high - found.low < 1.5 * (high - low)


def test_a_perfect_order_of_few_positives_is_not_certain():
    found = s.average_precision([True, True, False, False], [4, 3, 2, 1])
    assert (found.value, found.high) == (1.0, 1.0)
    assert bounds(found) == bounds(s.wilson(2, 2))


def test_precision_and_recall():
    precision, recall = s.precision_recall([1, 1, 1, 0, 0], [1, 1, 0, 1, 0])
    assert (precision.value, recall.value) == pytest.approx((2 / 3, 2 / 3))
    assert precision == s.wilson(2, 3)
    assert math.isnan(s.precision_recall([0, 1], [0, 0])[0].value)


def test_calibration_counts_each_item_once_and_finds_the_error():
    random = np.random.default_rng(6)
    probability = random.random(20_000)
    labels = random.random(20_000) < probability
    bins = s.calibration(labels, np.log(probability), np.log([1e-9, 0.25, 0.5, 0.75, 1.0]), probability)
    assert sum(one.observed.n for one in bins) == 20_000
    assert [one.expected for one in bins] == pytest.approx([0.125, 0.375, 0.625, 0.875], abs=0.01)
    assert all(one.observed.low <= one.expected <= one.observed.high for one in bins)
    assert s.expected_calibration_error(bins) < 0.02
    overconfident = s.calibration(labels, probability, [0, 0.5, 1], np.clip(probability + 0.2, 0, 1))
    assert s.expected_calibration_error(overconfident) == pytest.approx(0.18, abs=0.03)
    assert math.isnan(s.expected_calibration_error(s.calibration([], [], [0, 1], [])))


def test_calibration_includes_the_last_edge_and_leaves_out_what_is_outside():
    bins = s.calibration([1, 0, 1, 1], [0.0, 0.5, 1.0, 7.0], [0, 0.5, 1.0], [0.1, 0.2, 0.3, 0.4])
    assert [(one.observed.value, one.observed.n) for one in bins] == [(1, 1), (0.5, 2)]


def test_quantiles_of_a_histogram():
    values = np.random.default_rng(7).normal(size=100_000)
    counts, edges = np.histogram(values, bins=400)
    assert s.quantiles_of_histogram(counts, edges, [0.05, 0.5, 0.95]) == pytest.approx(
        np.quantile(values, [0.05, 0.5, 0.95]), abs=0.02
    )
    assert np.isnan(s.quantiles_of_histogram([0, 0], [0, 1, 2], 0.5))


def test_calibration_by_tenths_of_known_cases():
    """The judge's bins: their edges are exact, so that 0.3 lies in [0.3, 0.4)."""
    probabilities, tenths = np.array([0.3] * 4 + [0.75] * 4), np.arange(11) / 10
    bins = s.calibration([1, 0, 0, 0, 1, 1, 1, 0], probabilities, tenths, probabilities)
    filled = [(each.low, each.observed.n, each.observed.value) for each in bins if each.observed.n]
    assert filled == [(0.3, 4, 0.25), (0.7, 4, 0.75)]
    assert s.expected_calibration_error(bins) == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        (s.wilson(71, 100), "0.71 [0.61, 0.79]"),
        (s.Estimate(17.63, 17.63 - 0.006684, 17.63 + 0.006684, 2, s.DEVIATION), "17.630 ± 0.007"),
        (s.Estimate(0.012345, 0.012345 - 0.0024, 0.012345 + 0.0024, 9, s.DEVIATION), "0.0123 ± 0.0024"),
        (s.Estimate(636.2, 540.1, 700.9, 9), "636 [540, 701]"),
        (s.Estimate(-0.0312, -0.04, 0.0012, 9), "\N{MINUS SIGN}0.031 [\N{MINUS SIGN}0.040, 0.001]"),
        (s.Estimate(0.5, 0.5, 0.5, 2, s.DEVIATION), "0.5 ± 0"),
        (s.Estimate(1336.4, math.nan, math.nan, 9), "1,336"),
        (s.Estimate(0.0123456, math.nan, math.nan, 9), "0.0123"),
        (s.Estimate(1.0, 1.0, 1.0, 9), "1 [1, 1]"),
        (s.Estimate(math.nan, 0, 1, 0), ""),
    ],
)
def test_estimates_have_the_digits_that_their_error_leaves(estimate, expected):
    assert str(estimate) == expected


def test_estimates_become_json():
    found = s.bootstrap_mean([2.0]).as_dict()
    assert (found["value"], found["low"], found["n"]) == (2.0, None, 1)
    assert s.Estimate.from_dict(found).as_dict() == found
    assert s.Estimate.from_dict(s.wilson(3, 9).as_dict()) == s.wilson(3, 9)
