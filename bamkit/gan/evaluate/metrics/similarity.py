"""How much of one picture is left in another: SSIM, edge agreement, correlation of light and dark."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G, B in luma (ITU-R BT.601)."""


def luma(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) float32 in [0, 1]."""
    return (picture.astype(np.float32) / 255) @ np.array(LUMA, dtype=np.float32)


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity of two (H, W, 3) uint8 pictures, in [-1, 1]; 1 for identical ones (Wang et al. 2004).

    Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, population moments, mean over the three channels
    and over the positions where the window fits. Raises ValueError if the shapes differ or a side has under 11 pixels.
    """
    if a.shape != b.shape:
        raise ValueError(f"SSIM needs two pictures of one shape, not {a.shape} and {b.shape}")
    if min(a.shape[:2]) < 11:
        raise ValueError(f"SSIM needs pictures of at least 11 x 11 pixels, not {a.shape[1]} x {a.shape[0]}")
    x, y = (torch.from_numpy(p.astype(np.float64) / 255).permute(2, 0, 1)[:, None] for p in (a, b))
    mean_x, mean_y = _smooth(x), _smooth(y)
    var_x, var_y = _smooth(x * x) - mean_x**2, _smooth(y * y) - mean_y**2
    covariance = _smooth(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    light = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return float((light * structure).mean())


def _smooth(x: torch.Tensor) -> torch.Tensor:
    """(N, 1, H, W) under the 11-tap Gaussian of sigma 1.5, positions where it fits: (N, 1, H - 10, W - 10)."""
    taps = torch.exp(-((torch.arange(11, dtype=x.dtype) - 5) ** 2) / (2 * 1.5**2))
    taps = taps / taps.sum()
    return F.conv2d(F.conv2d(x, taps.view(1, 1, 11, 1)), taps.view(1, 1, 1, 11))


def edges(picture: np.ndarray, keep: float = 0.1) -> np.ndarray:
    """The edge map of an (H, W, 3) uint8 picture, (H, W) bool: the `keep` share of pixels with the strongest Sobel
    gradient of luma. Pixels where nothing changes (gradient below 1/255) are never edges.
    """
    light = torch.from_numpy(luma(picture))[None, None]
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    kernels = torch.stack([across, across.T])[:, None]
    gradient = F.conv2d(F.pad(light, (1, 1, 1, 1), mode="replicate"), kernels).square().sum(1).sqrt()[0].numpy()
    threshold = np.quantile(gradient, 1 - keep)
    return gradient >= max(float(threshold), 1 / 255)


def edge_agreement(a: np.ndarray, b: np.ndarray, keep: float = 0.1, tolerance: int = 1) -> float:
    """How far the edges of two (H, W, 3) uint8 pictures coincide: the F-measure of their edge maps, in [0, 1].

    An edge pixel of one counts as met if the other has one within `tolerance` pixels (Chebyshev); precision and recall
    are joined as in the boundary benchmark of Martin, Fowlkes and Malik (2004). Colour and contrast do not matter,
    since each map keeps its own strongest `keep` share. Two pictures without edges agree (1.0).
    """
    if a.shape != b.shape:
        raise ValueError(f"edge agreement needs two pictures of one shape, not {a.shape} and {b.shape}")
    first, second = edges(a, keep), edges(b, keep)
    if not first.any() or not second.any():
        return float(first.any() == second.any())
    precision = (second & _grown(first, tolerance)).sum() / second.sum()
    recall = (first & _grown(second, tolerance)).sum() / first.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    field = torch.from_numpy(mask.astype(np.float32))[None, None]
    return F.max_pool2d(field, 2 * by + 1, stride=1, padding=by)[0, 0].numpy() > 0


def light_correlation(a: np.ndarray, b: np.ndarray, cells: int = 32) -> float:
    """Pearson correlation of the luma of two (H, W, 3) uint8 pictures averaged over a grid of `cells` x `cells`.

    Near 1: light stayed light and dark stayed dark; clearly below 0: **colour inversion**, a known failure of cycle
    losses (the two generators agree on a negative). nan where one of the two has no contrast.
    """
    first, second = (
        F.adaptive_avg_pool2d(torch.from_numpy(luma(p))[None, None], cells).flatten().double().numpy() for p in (a, b)
    )
    if first.std() < 1e-4 or second.std() < 1e-4:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def light_explained(before: np.ndarray, after: np.ndarray, levels: int = 64) -> float:
    """The share of the variance of one picture's luma that is a function of another's luma, pixel by pixel, in [0, 1].

    The correlation ratio eta^2 = 1 - E[Var(after | before)] / Var(after), the luma of `before` in `levels` equal steps;
    both are (H, W, 3) uint8 of one shape. Near 1 nothing was painted: whatever tone curve turns one into the other
    (darker, inverted, solarised, posterised), pixels of one tone stayed of one tone. nan where `after` has no contrast.
    Source: Pearson 1905, On the General Theory of Skew Correlation and Non-linear Regression.
    """
    x, y = luma(before).ravel(), luma(after).ravel().astype(np.float64)
    total = float(np.square(y - y.mean()).sum())
    if total < 1e-4**2 * y.size:
        return float("nan")
    place = np.minimum((x * levels).astype(np.int64), levels - 1)
    counts = np.maximum(1, np.bincount(place, minlength=levels))
    means = np.bincount(place, y, minlength=levels) / counts
    return float(min(1.0, max(0.0, 1 - np.square(y - means[place]).sum() / total)))
