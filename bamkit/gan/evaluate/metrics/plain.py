"""What can be said of a picture by a few plain numbers: light, contrast, colour, texture."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from bamkit.gan.evaluate.metrics.similarity import luma

DIMENSIONS = 9
SCALES = (1, 2, 4)
"""By how much a picture is shrunk before its texture is measured."""


def plain_statistics(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (9,) float32.

    Mean luma; the logarithm of luma's deviation over pixels and over an 8 x 8 grid; mean chroma (the length of B - luma
    and R - luma) and the logarithm of its deviation; the logarithm of the mean step between neighbouring pixels at
    three scales; the entropy of luma in 64 levels, in bits. Logarithms, as a picture without any contrast or with
    nothing but noise must lie far from all pictures, not at the edge of their range.
    """
    light = luma(picture)
    chroma = np.hypot(*(picture[..., channel].astype(np.float32) / 255 - light for channel in (2, 0)))
    plane = torch.from_numpy(light)[None, None]
    steps = []
    for scale in SCALES:
        shrunk = F.adaptive_avg_pool2d(plane, (max(2, light.shape[0] // scale), max(2, light.shape[1] // scale)))
        steps.append(sum(float(shrunk.diff(dim=axis).abs().mean()) for axis in (2, 3)))
    share = np.bincount(np.minimum((light * 64).astype(np.int64), 63).ravel(), minlength=64) / light.size
    values = [
        float(light.mean()),
        _log(float(light.std())),
        _log(float(F.adaptive_avg_pool2d(plane, 8).std(correction=0))),
        float(chroma.mean()),
        _log(float(chroma.std())),
        *map(_log, steps),
        -float((share[share > 0] * np.log2(share[share > 0])).sum()),
    ]
    return np.array(values, dtype=np.float32)


def _log(value: float) -> float:
    """The logarithm, with a quarter of a level of 255 for nothing."""
    return float(np.log(value + 1 / 1020))
