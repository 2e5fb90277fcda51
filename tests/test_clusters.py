"""Cases in clusters: standard errors by an independent computation, intervals by simulation."""

import math

import numpy as np
import pytest

from bamkit.common import statistics as s
from bamkit.common.statistics.clusters import effective_clusters, effective_size, sums
from bamkit.common.statistics.ranking import effective_items

SLOW = pytest.mark.slow


def test_a_missing_key_is_a_cluster_of_its_own_and_no_key_at_all_is_not_known():
    assert s.clusters_of([7, None, 7, 9, None, math.nan]).tolist() == [0, 1, 0, 2, 3, 4]
    assert s.clusters_of([None, math.nan]) is None
    assert s.count_clusters(None) is None
    assert s.count_clusters(np.array([3, 3, 1])) == 2


def test_sums_keep_the_order_of_appearance():
    totals, sizes = sums([1.0, 10.0, 2.0, 100.0], np.array([5, 2, 5, 9]))
    assert totals.tolist() == [3.0, 10.0, 100.0]
    assert sizes.tolist() == [2.0, 1.0, 1.0]


def test_standard_error_agrees_with_millers_formula_term_by_term():
    """Miller 2024: SE^2 = SE_independent^2 + the sum over clusters of all products of two cases, over n^2.

    inspect_ai's `stderr(cluster=...)` sums the outer product of each cluster's deviations, times G / (G - 1).
    """
    random = np.random.default_rng(0)
    values, clusters = random.normal(size=40), random.integers(0, 9, 40)
    mean, n = sum(values) / 40, 40
    squares = sum((x - mean) ** 2 for x in values) / n**2
    products = 0.0
    for i in range(n):
        for j in range(n):
            if i != j and clusters[i] == clusters[j]:
                products += (values[i] - mean) * (values[j] - mean)
    groups = len(set(clusters.tolist()))
    expected = math.sqrt((squares + products / n**2) * groups / (groups - 1))
    assert s.standard_error(values, clusters) == pytest.approx(expected, rel=1e-12)
    outer = sum(np.outer(values[clusters == c] - mean, values[clusters == c] - mean).sum() for c in set(clusters))
    assert s.standard_error(values, clusters) == pytest.approx(math.sqrt(outer * groups / (groups - 1)) / n, rel=1e-12)


def test_standard_error_of_independent_values_is_the_usual_one():
    values = np.random.default_rng(1).normal(size=25)
    expected = values.std(ddof=1) / 5
    assert s.standard_error(values) == pytest.approx(expected)
    assert s.standard_error(values, np.arange(25)) == pytest.approx(expected)
    assert math.isnan(s.standard_error(values, np.zeros(25, int)))


def test_clusters_of_one_case_change_nothing():
    random = np.random.default_rng(2)
    hits, scores, each = random.random(30) < 0.7, random.normal(size=30), np.arange(30)[::-1].copy()
    for plain, clustered in (
        (s.share(hits), s.share(hits, each)),
        (s.wilson(int(hits.sum()), 30), s.share(hits, each)),
        (s.bootstrap_mean(scores), s.bootstrap_mean(scores, each)),
        (s.auc(hits, scores), s.auc(hits, scores, each)),
        (s.average_precision(hits, scores), s.average_precision(hits, scores, each)),
        (s.difference_of_proportions(20, 30, 10, 30),
         s.difference_of_shares(np.arange(30) < 20, np.arange(30) < 10, each, each)),
    ):  # fmt: skip
        assert (clustered.value, clustered.low, clustered.high) == pytest.approx(
            (plain.value, plain.low, plain.high), abs=1e-9
        )
        assert plain.clusters is None
        assert clustered.clusters in (30, 60)


def test_a_case_that_is_repeated_counts_as_one():
    """Sixty copies of the same twenty answers tell what twenty tell, and a little less for not knowing it."""
    hits = np.random.default_rng(3).random(20) < 0.6
    scores, labels = np.random.default_rng(4).normal(hits, 1.0), hits
    thrice, clusters = np.repeat(hits, 3), np.repeat(np.arange(20), 3)
    alone = s.share(hits)
    found = s.share(thrice, clusters)
    assert found.value == alone.value
    assert (found.n, found.clusters) == (60, 20)
    assert alone.high - alone.low == pytest.approx(found.high - found.low, rel=0.1)
    assert s.share(thrice).high - s.share(thrice).low < 0.7 * (found.high - found.low)
    assert effective_size(thrice, clusters) == pytest.approx(20, rel=0.15)
    for figure in (s.auc, s.average_precision):
        once, again = figure(labels, scores), figure(thrice, np.repeat(scores, 3), clusters)
        assert again.high - again.low == pytest.approx(once.high - once.low, rel=0.15)
    once, again = s.bootstrap_mean(scores), s.bootstrap_mean(np.repeat(scores, 3), clusters)
    assert (again.low, again.high) == pytest.approx((once.low, once.high), rel=1e-9)


def test_a_share_of_one_in_few_projects_is_not_sure():
    hits, clusters = np.ones(60, bool), np.repeat(np.arange(6), 10)
    assert s.share(hits).low > 0.93
    assert s.share(hits, clusters).low < 0.7
    assert s.share(hits, np.zeros(60, int)).low < 0.25  # one project says nothing about others
    assert effective_items(np.arange(60) < 30, np.arange(60.0)[::-1], clusters) == pytest.approx((2.05, 2.05), abs=1)


def test_a_large_cluster_leaves_few_effective_ones():
    assert effective_clusters(np.repeat(np.arange(8), 3)) == pytest.approx(8)
    assert effective_clusters(np.append(np.zeros(60, int), np.arange(1, 61))) == pytest.approx(120**2 / 3660)


# --- coverage, by simulation ---

SIZES = {"even": [3], "mixed": [1, 1, 1, 2, 3, 5], "wide": [1, 1, 1, 2, 3, 5, 10]}


def clustered_hits(random, groups, p, likeness, sizes):
    """Hits whose chance is drawn for each cluster from a beta distribution of that intraclass correlation."""
    each = random.choice(SIZES[sizes], groups)
    chance = np.full(groups, p)
    if likeness == 1:
        chance = (random.random(groups) < p).astype(float)
    elif likeness:
        scale = (1 - likeness) / likeness
        chance = random.beta(p * scale, (1 - p) * scale, groups)
    clusters = np.repeat(np.arange(groups), each)
    return random.random(clusters.size) < chance[clusters], clusters


def covered(draw, truth, repeats):
    random = np.random.default_rng(0)
    found = [draw(random) for _ in range(repeats)]
    return float(np.mean([each.low <= truth <= each.high for each in found]))


# Every number of projects with every share and every likeness once with either kind of sizes: not all four crossed.
MORE = [(g, p, i, ("mixed", "wide")[(a + b + c) % 2]) for a, g in enumerate((6, 25, 60))
        for b, p in enumerate((0.03, 0.5, 0.9)) for c, i in enumerate((0, 0.3, 1))]  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "p", "likeness", "sizes"),
    [(12, 0.5, 0.3, "even"), (25, 0.9, 0.3, "wide"), (20, 0.2, 1, "mixed"),
     *(pytest.param(*case, marks=SLOW) for case in MORE)],
)  # fmt: skip
def test_share_covers_in_clusters(groups, p, likeness, sizes, request):
    slow = request.node.get_closest_marker("slow") is not None
    found = covered(lambda r: s.share(*clustered_hits(r, groups, p, likeness, sizes)), p, 300 if slow else 150)
    # All pictures of a project alike and projects of 1 to 10 pictures: the worst case.
    assert found >= (0.87 if (likeness, sizes) == (1, "wide") else 0.9)


def test_wilsons_interval_alone_does_not_cover_in_clusters():
    """What this module is for: three pictures a project, all alike, and 95 % becomes about 75 %."""
    found = covered(lambda r: s.share(clustered_hits(r, 25, 0.5, 1, "even")[0]), 0.5, 200)
    assert found < 0.85


@pytest.mark.parametrize(("groups", "likeness"), [(12, 0.5), *(pytest.param(g, i, marks=SLOW) for g in (6, 40)
                                                              for i in (0, 0.5, 1))])  # fmt: skip
def test_bootstrap_mean_covers_in_clusters(groups, likeness, request):
    slow = request.node.get_closest_marker("slow") is not None

    def draw(random):
        clusters = np.repeat(np.arange(groups), random.choice(SIZES["mixed"], groups))
        own = random.normal(size=clusters.size) * math.sqrt(1 - likeness)
        return s.bootstrap_mean(2 + random.normal(size=groups)[clusters] * math.sqrt(likeness) + own, clusters)

    assert 0.89 <= covered(draw, 2, 250 if slow else 150) <= 0.995


@pytest.mark.parametrize(("groups", "shift", "alike"), [(30, 1.2, True), *(pytest.param(*case, marks=SLOW) for case in
                         ((12, 0.0, True), (12, 1.2, False), (12, 2.5, True), (60, 0.0, False), (60, 1.2, True),
                          (60, 2.5, False)))])  # fmt: skip
def test_ranking_covers_in_clusters(groups, shift, alike, request):
    """Scores of one project share half their variance; its pictures have one label (`alike`) or two."""
    from test_coverage import true_average_precision

    slow = request.node.get_closest_marker("slow") is not None

    def draw(statistic):
        def drawn(random):
            clusters = np.repeat(np.arange(groups), random.choice(SIZES["mixed"], groups))
            labels = (np.arange(groups) % 3 == 0)[clusters] if alike else np.arange(clusters.size) % 3 == 0
            shared = random.normal(size=groups)[clusters] * math.sqrt(0.5)
            return statistic(labels, shared + random.normal(labels * shift, math.sqrt(0.5)), clusters)

        return drawn

    repeats = 150 if slow else 100
    area = 0.5 * (1 + math.erf(shift / 2))
    assert covered(draw(s.auc), area, repeats) >= 0.88
    assert covered(draw(s.average_precision), true_average_precision(1 / 3, shift), repeats) >= 0.88


@pytest.mark.slow
def test_difference_of_shares_covers_in_clusters():
    def draw(random):
        (a, left), (b, right) = (clustered_hits(random, 20, p, 0.3, "mixed") for p in (0.7, 0.4))
        return s.difference_of_shares(a, b, left, right)

    assert covered(draw, 0.3, 500) >= 0.92
