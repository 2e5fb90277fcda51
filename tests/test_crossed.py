"""Figures over seeds and clusters of pictures: what the intervals cover, by simulation."""

import numpy as np
import pytest
from scipy.special import expit

from bamkit.common.statistics import bootstrap_mean, share
from bamkit.common.statistics.crossed import (
    CASES,
    Repeated,
    Side,
    difference_over,
    mean_over,
    share_difference_over,
    share_over,
)

SLOW = pytest.mark.slow


def pictures(random, groups):
    """The cluster of each picture: `groups` projects of one to five."""
    return np.repeat(np.arange(groups), random.integers(1, 6, groups))


def crossed(random, seeds, clusters, deviations):
    """(S, n) values: deviations of seeds, of projects, of pictures, and of a picture within a seed."""
    by_seed, by_project, by_picture, rest = deviations
    n = clusters.size
    values = random.normal(0, by_seed, (seeds, 1)) + random.normal(0, by_project, clusters.max() + 1)[clusters]
    return values + random.normal(0, by_picture, n) + random.normal(0, rest, (seeds, n))


# (seeds, projects, deviations): seeds alike and seeds that decide; few projects and many.
CASES_HERE = [
    (3, 12, (0.2, 1, 1, 1)),
    (3, 30, (1, 1, 1, 1)),
    *(
        pytest.param(seeds, groups, deviations, marks=SLOW)
        for seeds in (2, 3, 5)
        for groups, deviations in ((12, (0, 1, 1, 1)), (30, (0.4, 1, 1, 1)), (12, (1, 1, 1, 1)), (30, (1, 0, 0.1, 0.1)))
    ),
    pytest.param(2, 12, (1, 0, 0.1, 0.1), marks=SLOW),
]


@pytest.mark.parametrize(("seeds", "groups", "deviations"), CASES_HERE)
def test_a_mean_over_seeds_and_projects_is_covered(seeds, groups, deviations, request):
    slow = request.node.get_closest_marker("slow") is not None
    random, repeats, held = np.random.default_rng(0), 600 if slow else 100, 0
    for _ in range(repeats):
        clusters = pictures(random, groups)
        found = mean_over(Repeated.mean(crossed(random, seeds, clusters, deviations), clusters))
        held += found.low <= 0 <= found.high
    assert held / repeats >= 0.88  # two seeds that decide, in few projects: 0.90


def test_pictures_alone_do_not_cover_other_seeds():
    """What the rest of the house would say of one seed, or of all seeds' pictures thrown together, is too sure here."""
    random, held, crossed_held = np.random.default_rng(1), 0, 0
    for _ in range(60):
        clusters = pictures(random, 20)
        values = crossed(random, 3, clusters, (1, 0.5, 0.5, 0.5))
        together = bootstrap_mean(values.ravel(), np.tile(clusters, 3), resamples=300)
        found = mean_over(Repeated.mean(values, clusters))
        held += together.low <= 0 <= together.high
        crossed_held += found.low <= 0 <= found.high
    assert held / 60 < 0.6
    assert crossed_held / 60 > 0.85


@pytest.mark.parametrize("deviations", [(0.3, 1, 1), pytest.param((1, 1, 1), marks=SLOW)])
@pytest.mark.parametrize("middle", [0, 3, pytest.param(5, marks=SLOW)])
def test_a_share_over_seeds_and_projects_is_covered(middle, deviations, request):
    slow = request.node.get_closest_marker("slow") is not None
    random, repeats, held = np.random.default_rng(0), 500 if slow else 80, 0
    by_seed, by_project, rest = deviations
    truth = expit(middle + random.normal(0, np.sqrt(by_seed**2 + by_project**2 + rest**2), 200_000)).mean()
    for _ in range(repeats):
        clusters = pictures(random, 20)
        hits = random.random((3, clusters.size)) < expit(
            middle + crossed(random, 3, clusters, (by_seed, by_project, rest, 0))
        )
        found = share_over(hits, clusters)
        held += found.low <= truth <= found.high
    assert held / repeats >= 0.91


@pytest.mark.parametrize("seeds", [2, 3])
def test_no_difference_is_found_where_there_is_none(seeds):
    """Two methods that differ by luck of seeds and pictures alone, on the same pictures of differing difficulty."""
    random, found = np.random.default_rng(2), 0
    for _ in range(100):
        clusters = pictures(random, 20)
        difficulty = random.normal(0, 2, clusters.max() + 1)[clusters]
        a, b = (
            Repeated.mean(difficulty + crossed(random, seeds, clusters, (0.5, 0, 0, 1)), clusters) for _ in range(2)
        )
        estimate = difference_over(a, b)
        found += estimate.low > 0 or estimate.high < 0
    assert found <= 10


def test_pairing_finds_what_the_pictures_difficulty_would_hide():
    random = np.random.default_rng(3)
    clusters = pictures(random, 20)
    difficulty = random.normal(0, 5, clusters.max() + 1)[clusters]
    a, b = (Repeated.mean(difficulty + shift + random.normal(0, 0.1, (3, clusters.size)), clusters) for shift in (1, 0))
    assert difference_over(a, b).low > 0.9
    assert mean_over(a).low < mean_over(b).high, "side by side the intervals overlap"


def test_a_baseline_has_no_seeds_to_differ():
    random = np.random.default_rng(4)
    clusters = pictures(random, 15)
    values = random.normal(size=(1, clusters.size))
    found = mean_over(Repeated.mean(values, clusters, fixed=True))
    assert found.method == CASES
    assert found.n == clusters.size
    assert found.clusters == 15
    own = bootstrap_mean(values[0], clusters, resamples=4000)
    assert found.high - found.low == pytest.approx(own.high - own.low, rel=0.15)


def test_seeds_of_one_result_add_nothing_to_the_pictures():
    random = np.random.default_rng(5)
    clusters = pictures(random, 15)
    row = random.normal(size=(1, clusters.size))
    same = mean_over(Repeated.mean(np.repeat(row, 3, axis=0), clusters))
    alone = mean_over(Repeated.mean(row, clusters, fixed=True))
    assert (same.low, same.high) == pytest.approx((alone.low, alone.high))


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_all_or_none_is_not_certain(level):
    hits = np.full((3, 24), bool(level))
    found = share_over(hits, np.repeat(np.arange(8), 3))
    assert found.value == level
    assert found.high - found.low > 0.1
    one = share(hits[0], np.repeat(np.arange(8), 3))
    assert found.high - found.low >= 0.8 * (one.high - one.low), "three seeds on the same pictures are no new pictures"


def test_two_shares_of_one_are_not_certain_to_be_equal():
    clusters, all_ = np.repeat(np.arange(8), 3), np.ones((3, 24))
    found = share_difference_over(Repeated.mean(all_, clusters), Repeated.mean(all_, clusters))
    assert found.value == 0
    assert -0.5 < found.low < -0.1
    assert 0.1 < found.high < 0.5
    apart = share_difference_over(Repeated.mean(all_, clusters), Repeated.mean(0 * all_, clusters))
    assert 0.5 < apart.low < apart.high == 1.0


def test_no_difference_of_shares_is_found_where_there_is_none():
    random, found = np.random.default_rng(7), 0
    for _ in range(100):
        clusters = pictures(random, 20)
        difficulty = 2 + random.normal(0, 1, clusters.max() + 1)[clusters]
        chances = (expit(difficulty + random.normal(0, 0.5, (3, 1)) + 0 * clusters) for _ in range(2))
        a, b = (Repeated.mean((random.random(p.shape) < p).astype(float), clusters) for p in chances)
        estimate = share_difference_over(a, b)
        found += estimate.low > 0 or estimate.high < 0
    assert found <= 8


def test_the_second_side_of_a_distance_widens_the_interval():
    random = np.random.default_rng(6)
    outputs, real = random.normal(size=(3, 30)), np.repeat(random.normal(size=(1, 20)), 3, axis=0)
    values = outputs.mean(axis=1) + real.mean(axis=1)
    two = mean_over(Repeated(values, (Side(outputs), Side(real))))
    one = mean_over(Repeated(values, (Side(outputs),)))
    assert two.high - two.low > one.high - one.low
