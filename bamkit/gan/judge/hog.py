"""Features of form alone: histograms of oriented gradients of luma, blind to colour, brightness and contrast."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G, B in luma (ITU-R BT.601)."""
SIDE = 64
"""Pixels to which a picture is brought."""
CELL, BINS = 8, 9
"""Pixels of a cell's side; unsigned orientations of 20 degrees each."""


class Hog(nn.Module):
    """(n, 3, h, w) pictures in any linear scale -> (n, 1764) histograms of oriented gradients.

    Luma at 64 x 64, central differences, 8 x 8 cells of 9 unsigned orientations (votes shared between the two nearest,
    weighted by the gradient's length), 7 x 7 overlapping blocks of 2 x 2 cells, each normalised to length 1, cut off at
    0.2 and normalised again. Unsigned orientations do not tell dark on light from light on dark. The constant that
    keeps empty blocks empty is a share of the picture's own mean gradient, so that a picture of half the contrast has
    the same features. Source: Dalal and Triggs 2005, CVPR, section 6.
    """

    dimensions = 7 * 7 * 4 * BINS

    def forward(self, pictures: Tensor) -> Tensor:
        luma = (pictures * pictures.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        luma = F.interpolate(luma, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        padded = F.pad(luma, (1, 1, 1, 1), mode="replicate")[:, 0]
        across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
        down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
        length = torch.hypot(across, down)
        place = torch.remainder(torch.atan2(down, across), math.pi) / math.pi * BINS - 0.5
        lower = torch.floor(place)
        share = place - lower
        votes = length.new_zeros(len(luma), BINS, SIDE, SIDE)
        low = torch.remainder(lower, BINS).long()[:, None]
        votes.scatter_add_(1, low, (length * (1 - share))[:, None])
        votes.scatter_add_(1, torch.remainder(low + 1, BINS), (length * share)[:, None])
        cells = F.avg_pool2d(votes, CELL)
        blocks = torch.cat([cells[:, :, i : i + 7, j : j + 7] for i in (0, 1) for j in (0, 1)], dim=1)
        least = 0.1 * length.mean(dim=(1, 2)).clamp(min=1e-6).view(-1, 1, 1, 1)
        unit = blocks / (blocks.square().sum(1, keepdim=True) + least.square()).sqrt()
        clipped = unit.clamp(max=0.2)
        features: Tensor = clipped / (clipped.square().sum(1, keepdim=True) + 1e-6).sqrt()
        return features.flatten(1)
