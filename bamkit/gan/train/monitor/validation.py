"""The measure that chooses the best checkpoint: how near translations come to the target, and how much is kept.

For each direction, with the pictures of the `validation` split:

    style = MMD(translated, real target) / MMD(untouched source, real target)
    kept  = cycle: mean |restored - source| of pictures in [-1, 1], for methods that learn to come back
            form:  1 - correlation of the edges of translated and source (`form`), for methods that do not

MMD is the maximum mean discrepancy (unbiased in the square) with the kernel (x.y / d + 1)^3 of KID (Binkowski 2018),
but on a fixed descriptor of light, colour and texture (`describe`) that needs no downloaded network. A style of 1 means
as far from the target as the untouched pictures, 0 that the descriptor sees no difference. The score is the mean of
style + kept over the two directions; lower is better. It compares checkpoints of a run, and says little beyond that.

Two generators that never saw each other's pictures need not undo each other, however well each keeps what it is given:
their error of coming back would choose among checkpoints by what no loss has asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

FEWEST = 5
"""Validation pictures needed in each domain."""
SAME_PICTURE = 0.25
"""Translations that differ from each other less than this share of what real pictures do count as collapsed."""

Translate = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Validation:
    """The measure at one moment. Each pair is (A to B, B to A)."""

    style: tuple[float, float]
    kept: tuple[float, float]
    """`cycle` or `form`, by the method; 0 where all is kept."""
    variety: tuple[float, float]
    """How much translations differ from each other, as a share of how much the target's real pictures do."""

    @property
    def score(self) -> float:
        return (sum(self.style) + sum(self.kept)) / 2


class Validator:
    """Holds the validation pictures of both domains, uint8 [N, S, S, 3], and measures two generators on them."""

    def __init__(self, pictures_a: np.ndarray, pictures_b: np.ndarray, comes_back: bool = True) -> None:
        self.pictures = (pictures_a, pictures_b)
        self.comes_back = comes_back
        self._real = [describe(_tensor(p)) for p in self.pictures]
        self._spread = [_spread(_tensor(p)) for p in self.pictures]

    @torch.no_grad()
    def __call__(self, a_to_b: Translate, b_to_a: Translate, device: torch.device) -> Validation:
        """Measure two functions [N, 3, S, S] -> the same, in [-1, 1], one picture at a time."""
        style, kept, variety = [], [], []
        for source, translate, translate_back in ((0, a_to_b, b_to_a), (1, b_to_a, a_to_b)):
            target, fakes, losses = 1 - source, [], []
            for picture in _tensor(self.pictures[source]).split(1):
                real = picture.to(device)
                fake = translate(real)
                lost = (translate_back(fake).float() - real).abs().mean() if self.comes_back else form(fake, real)
                losses.append(float(lost))
                fakes.append(fake.float().cpu())
            translated = torch.cat(fakes)
            untouched = mmd2(self._real[source], self._real[target])
            style.append(math.sqrt(max(mmd2(describe(translated), self._real[target]), 0.0) / max(untouched, 1e-3)))
            kept.append(float(np.mean(losses)))
            variety.append(_spread(translated) / max(self._spread[target], 1e-6))
        return Validation(tuple(style), tuple(kept), tuple(variety))  # type: ignore[arg-type]


def describe(x: Tensor) -> Tensor:
    """[N, 3, H, W] in [-1, 1] -> float64 [N, 36]: light, colour and texture of each picture.

    Mean and deviation of luma and two colour differences over the picture and its four quarters, and the logarithm of
    luma's gradient energy across and down at three scales.
    """
    red, _, blue = x.double().unbind(1)
    luma = _luma(x)
    planes = torch.stack([luma, blue - luma, red - luma], dim=1)
    features = []
    for part in (planes, *(half for rows in planes.chunk(2, dim=2) for half in rows.chunk(2, dim=3))):
        features += [part.mean(dim=(2, 3)), part.std(dim=(2, 3))]
    for scale in (1, 2, 4):
        shrunk = F.avg_pool2d(luma[:, None], scale) if scale > 1 else luma[:, None]
        for axis in (2, 3):
            energy = shrunk.diff(dim=axis).square().mean(dim=(1, 2, 3))
            features.append(torch.log(energy + 1e-4)[:, None] / 2)
    return torch.cat(features, dim=1)


def form(translated: Tensor, source: Tensor) -> Tensor:
    """1 - Pearson correlation of the gradient magnitudes of luma of two pictures [1, 3, H, W] in [-1, 1]: about [0, 1].

    0: edges lie where they lay, and are as strong beside each other; 1: they have nothing to do with each other. Light,
    contrast and colour of the whole picture do not matter. Two flat pictures agree, a flat one with no other.
    """
    first, second = (x - x.mean() for x in (_edges(translated), _edges(source)))
    together = (first * second).mean() + 1e-9
    return 1 - together / ((first.square().mean() + 1e-9) * (second.square().mean() + 1e-9)).sqrt()


def _edges(x: Tensor) -> Tensor:
    """Gradient magnitude of luma, float64 [N, H - 1, W - 1]."""
    luma = _luma(x)
    return (luma.diff(dim=1)[:, :, :-1].square() + luma.diff(dim=2)[:, :-1].square()).sqrt()


def _luma(x: Tensor) -> Tensor:
    red, green, blue = x.double().unbind(1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def mmd2(first: Tensor, second: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy of two samples [N, D] and [M, D], standardised by `second`."""
    centre, deviation = second.mean(0), second.std(0) + 1e-3
    x, y = (first - centre) / deviation, (second - centre) / deviation
    # Far outliers would swamp a cubic kernel.
    x, y = x.clamp(-4, 4), y.clamp(-4, 4)
    n, m, d = len(x), len(y), x.shape[1]
    within_x, within_y, between = ((p @ q.T / d + 1) ** 3 for p, q in ((x, x), (y, y), (x, y)))
    inner_x = (within_x.sum() - within_x.trace()) / (n * (n - 1))
    inner_y = (within_y.sum() - within_y.trace()) / (m * (m - 1))
    return float(inner_x + inner_y - 2 * between.mean())


def _spread(x: Tensor) -> float:
    """Mean absolute difference between the pictures of a batch, each seen at 16 x 16."""
    small = F.adaptive_avg_pool2d(x.float(), 16).flatten(1)
    return float(torch.pdist(small, p=1).mean() / small.shape[1])


def _tensor(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
