"""Metrics as functions of arrays: pictures are uint8 (H, W, 3), features are floats (n, d).

How much of one picture is left in another:

    >>> import numpy as np
    >>> from bamkit import metrics
    >>> rng = np.random.default_rng(0)
    >>> picture = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    >>> round(metrics.ssim(picture, picture), 3), round(metrics.edge_agreement(picture, picture), 3)
    (1.0, 1.0)
    >>> round(metrics.light_correlation(picture, 255 - picture), 3)
    -1.0

How strongly its fine structure repeats every 4 pixels, across and down (1 for noise):

    >>> round(metrics.grid_energy(np.tile(picture[:4, :4], (8, 8, 1)), 4), 1) > 50
    True

How far two sets of feature vectors are apart, and how far the vectors of one set:

    >>> a, b = rng.normal(size=(64, 8)), rng.normal(1, 1, size=(64, 8))
    >>> metrics.frechet_distance(metrics.Moments.of(a), metrics.Moments.of(a)) < 1e-9
    True
    >>> metrics.kid(a, b).mean > metrics.kid(a, a + 0.01).mean
    True
    >>> metrics.polynomial_mmd(a, b) > 0
    True
    >>> metrics.nearest(a[:1], a)[1].tolist()
    [[0]]
    >>> metrics.mean_pairwise_distance(a).n
    64
"""

from bamkit.gan.evaluate.metrics.distribution import Moments, frechet_distance, kid, polynomial_mmd
from bamkit.gan.evaluate.metrics.grid import grid_energy
from bamkit.gan.evaluate.metrics.neighbours import mean_pairwise_distance, nearest
from bamkit.gan.evaluate.metrics.similarity import edge_agreement, light_correlation, ssim

__all__ = [
    "Moments",
    "edge_agreement",
    "frechet_distance",
    "grid_energy",
    "kid",
    "light_correlation",
    "mean_pairwise_distance",
    "nearest",
    "polynomial_mmd",
    "ssim",
]
