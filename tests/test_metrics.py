"""Metrics against closed forms, and against second implementations where they are installed."""

import math
import tracemalloc

import numpy as np
import pytest

from bamkit.gan.evaluate.metrics.colour import ColourStatistics, colour_transfer, lab, srgb
from bamkit.gan.evaluate.metrics.distribution import Moments, frechet_distance, kid, polynomial_mmd
from bamkit.gan.evaluate.metrics.grid import grid_energy
from bamkit.gan.evaluate.metrics.manifold import manifold
from bamkit.gan.evaluate.metrics.neighbours import mean_pairwise_distance, nearest
from bamkit.gan.evaluate.metrics.plain import plain_statistics
from bamkit.gan.evaluate.metrics.similarity import edge_agreement, edges, light_correlation, light_explained, luma, ssim


def picture(seed=0, size=64):
    """Smooth shapes with texture, uint8: random noise would make every similarity trivial."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    waves = [np.sin(6 * (rng.normal() * x + rng.normal() * y) + rng.normal()) for _ in range(3)]
    left, top = rng.random(2)
    base = 128 + 70 * np.stack(waves, -1) + 40 * (np.hypot(x - left, y - top) < 0.3)[..., None]
    return np.clip(base + rng.normal(0, 6, base.shape), 0, 255).astype(np.uint8)


# --- distributions ---


def test_moments_do_not_depend_on_the_batches():
    data = np.random.default_rng(0).normal(1000, 0.1, (300, 5))
    moments = Moments(5)
    for part in np.split(data, [1, 17, 200]):
        moments.update(part)
    np.testing.assert_allclose(moments.mean, data.mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(data, rowvar=False), rtol=1e-7)
    with pytest.raises(ValueError):
        moments.update(np.full((1, 5), np.nan))


def test_frechet_distance_of_known_gaussians():
    """For diagonal covariances the distance is |dm|^2 + sum (s1 - s2)^2."""
    a, b = Moments(2), Moments(2)
    square = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * math.sqrt(3 / 4)  # unbiased covariance 1
    a.update(square * [1, 2])
    b.update(square * [3, 5] + [4, 0])
    assert frechet_distance(a, b) == pytest.approx(16 + 4 + 9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_agrees_with_scipy_sqrtm_when_singular():
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 40)), rng.normal(0.5, 2, size=(25, 40))
    c1, c2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(c1 @ c2 + 1e-14 * np.eye(40))
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c1 + c2 - 2 * root.real)
    assert frechet_distance(Moments.of(x), Moments.of(y)) == pytest.approx(expected, rel=1e-4)


def test_kid_closed_form():
    """Two sets of one repeated vector each: k(x, x) + k(y, y) - 2 k(x, y)."""
    x, y = np.tile([1.0, 0.0], (6, 1)), np.tile([0.0, 2.0], (6, 1))
    expected = (1 / 2 + 1) ** 3 + (4 / 2 + 1) ** 3 - 2 * 1
    assert polynomial_mmd(x, y) == pytest.approx(expected)
    found = kid(x, y, subsets=5)
    assert found.mean == pytest.approx(expected)
    assert found.deviation == pytest.approx(0, abs=1e-12)


def test_kid_is_unbiased_at_small_sizes_where_fid_is_not():
    rng = np.random.default_rng(0)
    draws = [polynomial_mmd(rng.normal(size=(12, 8)), rng.normal(size=(12, 8))) for _ in range(300)]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / math.sqrt(300)
    small = frechet_distance(Moments.of(rng.normal(size=(12, 8))), Moments.of(rng.normal(size=(12, 8))))
    large = frechet_distance(Moments.of(rng.normal(size=(4000, 8))), Moments.of(rng.normal(size=(4000, 8))))
    assert small > 20 * large


def test_kid_says_when_a_set_is_too_small():
    with pytest.raises(ValueError, match="subset of 2"):
        kid(np.zeros((1, 3)), np.zeros((5, 3)))


def test_kid_and_fid_agree_with_torch_fidelity():
    from bamkit.gan.vision import torchvision

    torchvision()
    pytest.importorskip("torch_fidelity")
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 16)).astype(np.float32), rng.normal(0.3, 1.2, size=(80, 16)).astype(np.float32)
    whole = {"kid_subsets": 1, "kid_subset_size": 80, "verbose": False}
    found = kid_features_to_metric(*(torch.from_numpy(part) for part in (x, y)), **whole)
    assert polynomial_mmd(x, y) == pytest.approx(found["kernel_inception_distance_mean"], rel=1e-5)
    statistics = [fid_features_to_statistics(torch.from_numpy(part)) for part in (x, y)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(Moments.of(x), Moments.of(y)) == pytest.approx(expected, rel=1e-5)


def test_kid_agrees_with_torchmetrics():
    from bamkit.gan.vision import torchvision

    torchvision()
    kid_module = pytest.importorskip("torchmetrics.image.kid")
    import torch

    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(50, 8)), rng.normal(0.5, 1, size=(50, 8))
    assert polynomial_mmd(x, y) == pytest.approx(
        float(kid_module.poly_mmd(torch.from_numpy(x), torch.from_numpy(y), 3, None, 1.0)), rel=1e-6
    )


def test_ten_thousand_vectors_need_no_more_memory_than_five_hundred(tmp_path):
    def peak(n):  # n is a multiple of 512
        stored = np.lib.format.open_memmap(tmp_path / f"{n}.npy", "w+", dtype=np.float32, shape=(n, 64))
        rng = np.random.default_rng(0)
        for start in range(0, n, 512):
            stored[start : start + 512] = rng.normal(size=(512, 64))
        half = n // 2
        tracemalloc.start()
        frechet_distance(Moments.of(stored[:half]), Moments.of(stored[half:]))
        kid(stored[:half], stored[half:], subsets=3, subset_size=200)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    # 512 a side: the first size at which one block is full.
    assert peak(10_240) < 1.2 * peak(1_024)


# --- similarity ---


def test_ssim_closed_forms():
    one = picture()
    assert ssim(one, one) == pytest.approx(1)
    black, grey = np.zeros((20, 20, 3), np.uint8), np.full((20, 20, 3), 102, np.uint8)
    c1 = 0.01**2  # flat pictures: only the light term is left
    assert ssim(black, grey) == pytest.approx(c1 / (0.4**2 + c1))
    assert ssim(one, 255 - one) < 0.3
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(one[:10], one[:10])
    with pytest.raises(ValueError, match="one shape"):
        ssim(one, one[:30])


def test_ssim_agrees_with_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    a, b = picture(0), picture(1)
    # scikit-image averages over the same valid area
    expected = metrics.structural_similarity(
        a, b, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(a, b) == pytest.approx(expected, abs=1e-6)


def test_ssim_agrees_with_torchmetrics():
    from bamkit.gan.vision import torchvision

    torchvision()
    functional = pytest.importorskip("torchmetrics.functional.image")
    import torch

    a, b = picture(0), picture(1)
    tensors = [torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in (a, b)]
    measure = functional.structural_similarity_index_measure
    _, full = measure(*tensors, data_range=1.0, return_full_image=True)
    # torchmetrics also counts the reflected border; the window fits 5 pixels further in.
    assert ssim(a, b) == pytest.approx(float(full[..., 5:-5, 5:-5].mean()), abs=1e-4)


def test_edge_agreement_sees_edges_not_colours():
    one, other = picture(0), picture(7)
    assert edge_agreement(one, one) == 1.0
    assert edge_agreement(one, 255 - one) > 0.95
    assert edge_agreement(one, (one * 0.4 + 20).astype(np.uint8)) > 0.9
    assert edge_agreement(one, other) < 0.6
    flat = np.full((32, 32, 3), 9, np.uint8)
    assert not edges(flat).any()
    assert edge_agreement(flat, flat) == 1.0
    assert edge_agreement(flat, picture(0, 32)) == 0.0


def test_edge_agreement_of_two_lines_is_their_share_in_common():
    """Two pictures share one of two lines that lie far apart: precision = recall = 1/2."""

    def lines(*rows):
        p = np.zeros((64, 64, 3), np.uint8)
        p[list(rows)] = 255
        return p

    assert edge_agreement(lines(10, 30), lines(10, 50), keep=4 / 64) == pytest.approx(0.5, abs=0.02)
    assert edge_agreement(lines(10, 30), lines(11, 31), keep=4 / 64) == 1.0


def test_light_correlation_finds_inverted_pictures():
    one = picture()
    assert light_correlation(one, one) == pytest.approx(1)
    assert light_correlation(one, 255 - one) == pytest.approx(-1, abs=1e-6)
    assert math.isnan(light_correlation(one, np.zeros_like(one)))


def test_light_that_is_a_function_of_light_is_explained():
    one, other = picture(0), picture(1)
    for curve in (lambda p: p, lambda p: 255 - p, lambda p: p // 2, lambda p: np.where(p < 128, p, 255 - p)):
        grey = np.repeat(one[..., :1], 3, axis=2)
        assert light_explained(grey, curve(grey).astype(np.uint8)) > 0.99
    assert light_explained(one, other) < 0.4
    noise = np.random.default_rng(0).integers(0, 256, one.shape).astype(np.uint8)
    assert light_explained(one, noise) < 0.05
    assert math.isnan(light_explained(one, np.full_like(one, 9)))


def test_light_explained_is_the_correlation_ratio():
    """Two tones, each painted over by its own spread: between-groups over total sum of squares."""
    before = np.repeat(np.array([[50, 200]], np.uint8)[..., None], 3, axis=2).repeat(20, axis=0)
    after = before.copy()
    after[:10] += 20
    y = luma(after).ravel().astype(float)
    groups = [y[0::2], y[1::2]]
    between = sum(len(g) * (g.mean() - y.mean()) ** 2 for g in groups)
    assert light_explained(before, after) == pytest.approx(between / ((y - y.mean()) ** 2).sum())


# --- colour ---


def test_lab_of_known_colours_and_back():
    colours = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255], [119, 119, 119]]], np.uint8)
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86], [50.03, 0, 0]]
    np.testing.assert_allclose(lab(colours)[0], expected, atol=0.05)
    one = picture()
    assert np.abs(srgb(lab(one)).astype(int) - one).max() <= 1


def test_lab_agrees_with_scikit_image():
    colour = pytest.importorskip("skimage.color")
    np.testing.assert_allclose(lab(picture()), colour.rgb2lab(picture()), atol=0.02)


def test_colour_transfer_gives_the_targets_statistics_and_keeps_edges():
    target = ColourStatistics.empty()
    for seed in (3, 4):
        target.update((picture(seed) * 0.4 + 40).astype(np.uint8))
    moved = colour_transfer(picture(), target)
    values = lab(moved).reshape(-1, 3)
    np.testing.assert_allclose(values.mean(0), target.mean, atol=1.5)
    np.testing.assert_allclose(values.std(0), target.deviation, atol=2.0)
    assert edge_agreement(picture(), moved) > 0.8
    flat = colour_transfer(np.full((8, 8, 3), 100, np.uint8), target)
    assert np.isfinite(lab(flat)).all()


# --- neighbours ---


def test_nearest_agrees_with_scikit_learn():
    neighbours = pytest.importorskip("sklearn.neighbors")
    rng = np.random.default_rng(0)
    queries, references = rng.normal(size=(30, 6)), rng.normal(size=(2500, 6))
    found, index = nearest(queries, references, k=3)
    expected, expected_index = neighbours.NearestNeighbors(n_neighbors=3).fit(references).kneighbors(queries)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(index, expected_index)
    with pytest.raises(ValueError):
        nearest(queries, references[:2], k=3)


@pytest.mark.parametrize("k", [1, 5])
def test_precision_recall_density_coverage_agree_with_prdc(k, capsys):
    prdc = pytest.importorskip("prdc")
    rng = np.random.default_rng(k)
    real, fake = rng.normal(size=(300, 6)), rng.normal(0.6, 0.7, size=(270, 6))
    found, expected = manifold(real, fake, k), prdc.compute_prdc(real, fake, k)
    assert {name: float(getattr(found, name).mean()) for name in expected} == pytest.approx(expected)
    assert 0.1 < expected["coverage"] < 0.99


def test_manifold_by_hand():
    """Four real points on a line, one step apart, k = 1: neighbourhoods reach one step, which they do not hold."""
    real, fake = np.arange(4.0)[:, None], np.array([[0.5], [1.25], [9.0]])
    found = manifold(real, fake, k=1)
    assert found.precision.tolist() == [True, True, False]
    assert found.density.tolist() == [2, 2, 0]
    assert found.coverage.tolist() == [True, True, True, False]
    # The fakes' own neighbourhoods reach 0.75, 0.75 and 7.75.
    assert found.recall.tolist() == [True, True, True, True]
    with pytest.raises(ValueError, match="more than 3"):
        manifold(real, fake, k=3)


def test_plain_statistics_of_known_pictures():
    flat = plain_statistics(np.full((32, 32, 3), 51, np.uint8))
    assert flat[0] == pytest.approx(0.2)
    assert flat[[1, 2, 4, 5, 6, 7]] == pytest.approx(np.full(6, math.log(1 / 1020)), abs=1e-4)
    assert flat[[3, 8]] == pytest.approx([0, 0], abs=1e-6)
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 255
    found = plain_statistics(stripes)
    assert found[0] == pytest.approx(0.5)
    assert found[1] == pytest.approx(math.log(0.5 + 1 / 1020), abs=1e-4)
    assert found[5] == pytest.approx(math.log(1 + 1 / 1020), abs=1e-4)  # every step is the whole range
    assert found[6] == pytest.approx(math.log(1 / 1020), abs=1e-3)  # at half the size there are no stripes
    assert found[8] == pytest.approx(1)  # two levels: one bit


def test_diversity_is_clustered():
    rng = np.random.default_rng(0)
    vectors, clusters = rng.normal(size=(20, 3)), np.repeat(np.arange(20), 4)
    once, again = mean_pairwise_distance(vectors), mean_pairwise_distance(np.repeat(vectors, 4, axis=0), clusters)
    alone = mean_pairwise_distance(np.repeat(vectors, 4, axis=0))
    width = [each.high - each.low for each in (once, again, alone)]
    assert width[1] == pytest.approx(width[0], rel=0.1)
    assert width[2] < 0.6 * width[1]
    assert (again.n, again.clusters) == (80, 20)


def test_diversity_closed_form_and_coverage():
    triangle = np.array([[0.0, 0], [3, 0], [0, 4]])
    assert mean_pairwise_distance(triangle).value == pytest.approx(4)
    assert mean_pairwise_distance(np.ones((5, 2))).value == pytest.approx(0, abs=1e-7)
    assert math.isnan(mean_pairwise_distance(np.array([[0.0], [3.0]])).low)  # two vectors show no spread
    rng = np.random.default_rng(0)
    truth = 2 / math.sqrt(math.pi)  # E|x - y| for two standard normals
    hits = 0
    for _ in range(200):
        found = mean_pairwise_distance(rng.normal(size=(60, 1)))
        hits += found.low <= truth <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_the_examples_of_the_public_module():
    import doctest

    from bamkit import metrics

    found = doctest.testmod(metrics)
    assert found.attempted > 8
    assert not found.failed
    assert all(f"metrics.{name}" in metrics.__doc__ for name in metrics.__all__)


# --- a visible grid ---


def test_grid_energy_is_that_of_the_spectrum():
    """Against the Fourier transform of the same fine structure, at the frequencies of an 8 x 8 grid."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 1), dtype=np.uint8).repeat(3, axis=2)
    light = np.pad(noise[..., 0] / 255, 4, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(light, (9, 9))
    fine = noise[..., 0] / 255 - windows.mean(axis=(2, 3))
    energy = np.abs(np.fft.fft2(fine - fine.mean())) ** 2
    assert grid_energy(noise, 8) == pytest.approx(64 * energy[::8, ::8].sum() / energy.sum(), rel=1e-5)


def test_grid_energy_is_one_for_noise_and_large_for_a_grid():
    rng = np.random.default_rng(0)
    noise = [rng.integers(100, 150, (72, 72, 1), dtype=np.uint8).repeat(3, axis=2) for _ in range(40)]
    for period in (2, 4, 8):
        assert np.mean([grid_energy(one, period) for one in noise]) == pytest.approx(1, abs=0.6)
    painted = picture(size=72).astype(int)
    painted[::4, ::4] += 12
    assert grid_energy(np.clip(painted, 0, 255).astype(np.uint8), 4) > 20 * grid_energy(picture(size=72), 4)
    assert grid_energy(np.full((72, 72, 3), 90, np.uint8), 4) == 1
    for period in (1, 40):
        with pytest.raises(ValueError, match="cannot be seen"):
            grid_energy(picture(size=72), period)
