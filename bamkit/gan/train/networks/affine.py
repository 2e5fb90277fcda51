"""A generator that recolours: a colour transform for every place of the picture, so that the source's edges stay.

For a picture x in [-1, 1], with a 3 x 3 matrix A and an offset b at every pixel,

    y = tanh(CONTRAST x + A x + b)

A U-Net computes A and b at half of the picture's side, and bilinear interpolation brings them to the full one. Local
affine colour transforms of a coarse resolution are those of Gharbi et al. (2017, section 3.1), here without their
bilateral grid. What is finer than two pixels comes from x alone, so that nothing can be painted that blurs it; and no
convolution enlarges anything, so that there is none of the uneven overlap that transposed convolutions paint as a grid
(Odena et al. 2016).
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bamkit.gan.train.networks.normalisation import at_least_float32, normalise
from bamkit.gan.train.networks.strength import Modulation, disturbed, full, modulated

CONTRAST = 1.5
"""Factor of x before the tanh: an untrained generator returns almost the picture, since tanh(1.5) is 0.91."""


class AffineGenerator(nn.Module):
    """[N, 3, H, W] in [-1, 1] -> the same shape and range; H and W must be multiples of 2^halvings."""

    encoder_levels = 4
    """Levels that `encode` runs; all of them if there are fewer."""

    def __init__(self, width: int = 64, halvings: int = 4) -> None:
        super().__init__()
        self.multiple = 2**halvings
        channels = [width * min(2**level, 8) for level in range(halvings)]
        innermost = halvings - 1
        # A bias stays where no norm follows: at the outermost level, at the innermost one, where a norm would take
        # away what holds for the whole picture, and in the head.
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, bias=level in (0, innermost))
            for level, (before, after) in enumerate(zip([3, *channels], channels, strict=False))
        )
        self.up = nn.ModuleList(
            nn.Conv2d(
                channels[level] * (1 if level == innermost else 2),
                channels[level - 1],
                3,
                bias=level == innermost,
            )
            for level in range(1, halvings)
        )
        self.head = nn.Conv2d(2 * channels[0], 12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def encode(self, x: Tensor) -> list[Tensor]:
        """The picture, and what the outermost levels hand over to the decoder."""
        features = [x, self.down[0](_padded(x))]
        for level in range(1, min(self.encoder_levels, len(self.down))):
            features.append(self._down(level, features[-1]))
        return features

    def _down(self, level: int, h: Tensor) -> Tensor:
        h = self.down[level](_padded(F.leaky_relu(h, 0.2)))
        return normalise(h) if level < len(self.down) - 1 else h

    def decode(self, features: list[Tensor]) -> Tensor:
        """The translation, from all that `encode` returns."""
        x, *levels = features
        for level in range(len(levels), len(self.down)):
            levels.append(self._down(level, levels[-1]))
        innermost, h = len(self.down) - 1, levels.pop()
        for level in range(innermost, 0, -1):
            h = self.up[level - 1](_padded(F.relu(h)))
            h = F.relu(h) if level == innermost else normalise(h, "relu")
            h = torch.cat([levels.pop(), enlarge(h)], dim=1)
        return recolour(x, enlarge(at_least_float32(self.head(_padded(F.relu(h))))))


class ConditionalAffineGenerator(AffineGenerator):
    """The same, told how far to go: a strength in [0, 1] conditions the way up (see strength.py)."""

    def __init__(self, width: int = 64, halvings: int = 4) -> None:
        super().__init__(width, halvings)
        self.turns = nn.ModuleList(Modulation(cast("nn.Conv2d", conv).out_channels) for conv in self.up)
        self.turned = [f"up.{level}" for level in range(len(self.up))]
        """The convolution behind whose norm each of `turns` stands."""

    def forward(
        self, x: Tensor, strength: Tensor | None = None, keys: Tensor | None = None, times: int = 1, along: bool = False
    ) -> Any:
        """[N, 3, H, W] and strengths [1 or times N] -> [times N, 3, H, W] (see ConditionalResnetGenerator.forward).

        The code is the innermost level; the other levels are handed over as they are. The outputs along the decoder are
        those of its convolutions (but the first, before any strength), and the picture before its tanh.
        """
        strength = full(x) if strength is None else strength
        innermost = len(self.down) - 1
        skips = []
        h = self.down[0](_padded(x))
        for level in range(1, innermost + 1):
            skips.append(h.repeat(times, 1, 1, 1))
            h = self._down(level, h)
        code = h
        h = disturbed(h, keys).repeat(times, 1, 1, 1)
        features = []
        for level in range(innermost, 0, -1):
            h = self.up[level - 1](_padded(F.relu(h)))
            if level < innermost:
                features.append(h)
            h = modulated(h, self.turns[level - 1](strength), "relu", norm=level < innermost)
            h = torch.cat([skips.pop(), enlarge(h)], dim=1)
        transform = at_least_float32(self.head(_padded(F.relu(h))))
        picture = mixed(x.repeat(times, 1, 1, 1), enlarge(transform))
        made = torch.tanh(picture)
        return (made, [code, *features, picture]) if along else made


def _padded(x: Tensor) -> Tensor:
    """x with its border's values repeated once: zeros there would paint a frame."""
    return F.pad(x, (1, 1, 1, 1), mode="replicate")


def enlarge(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2 H, 2 W], bilinear, with the border's values repeated outside."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def recolour(x: Tensor, transform: Tensor) -> Tensor:
    """tanh(CONTRAST x + A x + b) of [N, 3, H, W]; `transform` [N, 12, H, W] is A, row by row, and then b."""
    return torch.tanh(mixed(x, transform))


def mixed(x: Tensor, transform: Tensor) -> Tensor:
    """What `recolour` takes the tanh of."""
    matrix = transform[:, :9].unflatten(1, (3, 3))
    picture: Tensor = CONTRAST * at_least_float32(x) + (matrix * x[:, None]).sum(2) + transform[:, 9:]
    return picture
