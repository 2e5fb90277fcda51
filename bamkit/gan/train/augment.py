"""Differentiable augmentation of what the discriminators see (Zhao et al. 2020): colour, shift, cutout.

With a thousand pictures a discriminator soon knows them by heart; shown each only in changed form, real and fake alike,
it has to look at what they have in common. The changes are differentiable, so that the generators learn through them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT = 1 / 8
"""Largest shift, as a share of the side."""
CUTOUT = 1 / 2
"""Side of the grey square, as a share of the picture's."""


def augment(x: Tensor, draws: Tensor) -> Tensor:
    """x [N, 3, H, W] in about [-1, 1], changed as `draws` [N, 7] (uniform in [0, 1)) say; the same shape and type."""
    # Positions stay in float32: half types cannot tell neighbouring pixels apart.
    return _cutout(_shift(_colour(x, draws[:, 0:3].to(x.dtype)), draws[:, 3:5]), draws[:, 5:7])


def _colour(x: Tensor, u: Tensor) -> Tensor:
    """Brightness +-0.5, saturation times [0, 2), contrast times [0.5, 1.5)."""
    brightness, saturation, contrast = (u[:, i].reshape(-1, 1, 1, 1) for i in range(3))
    x = x + (brightness - 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * (saturation * 2)
    middle = x.mean(dim=(1, 2, 3), keepdim=True)
    return middle + (x - middle) * (contrast + 0.5)


def _shift(x: Tensor, u: Tensor) -> Tensor:
    """Move by up to SHIFT of the side; what comes in from outside is grey (0)."""
    height, width = x.shape[2:]
    reach_y, reach_x = round(height * SHIFT), round(width * SHIFT)
    rows = _positions(u[:, 0], reach_y, height)
    columns = _positions(u[:, 1], reach_x, width)
    padded = F.pad(x, (1, 1, 1, 1))
    batch = torch.arange(len(x), device=x.device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def _positions(u: Tensor, reach: int, length: int) -> Tensor:
    """int64 [N, length]: where each line comes from in a picture padded by one line (the padding for outside)."""
    offset = (u * (2 * reach + 1)).floor().long() - reach
    lines = torch.arange(length, device=u.device)[None, :] + offset[:, None] + 1
    return lines.clamp(0, length + 1)


def _cutout(x: Tensor, u: Tensor) -> Tensor:
    """A grey square of CUTOUT of the side, anywhere, also partly outside."""
    height, width = x.shape[2:]
    inside = []
    for i, length in ((0, height), (1, width)):
        half = round(length * CUTOUT) / 2
        centre = (u[:, i] * length)[:, None]
        lines = torch.arange(length, device=x.device, dtype=u.dtype)[None, :]
        inside.append((lines - centre).abs() < half)
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return x.masked_fill(hole, 0.0)
