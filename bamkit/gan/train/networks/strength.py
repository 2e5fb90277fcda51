"""How a strength t in [0, 1] conditions a generator: instance norm with a gain and a shift that are lines in t.

For a channel h of the decoder (adaptive instance norm, Huang & Belongie 2017, equation 8),

    y = (1 + g(t)) norm(h) + s(t),    g and s both of the form RATE (w t + b)

SANTA (Xie et al. 2023) gets g and s by a linear layer from a point on the line between two learned embeddings of 8
numbers. Both are lines in t, so that w and b for each channel can say the same. What differs is how fast Adam, which
moves every number by about the learning rate, moves the line: 8 numbers together, hence RATE.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bamkit.gan.train.networks.normalisation import normalise, reflect
from bamkit.gan.train.random_draws import normal

RATE = 8.0
"""Factor of the learned w and b."""


class Modulation(nn.Conv2d):
    """Gain and shift of `channels` channels as lines in t; w and b are a 1 x 1 convolution's weight and bias."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, 2 * channels, 1)

    def forward(self, strength: Tensor) -> Tensor:
        """[N] -> [N, 2 channels, 1, 1], gains - 1 and then shifts. Elementwise: autocast would round t to 8 bits."""
        assert self.bias is not None
        return RATE * (strength.view(-1, 1, 1, 1) * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1))


def modulated(h: Tensor, change: Tensor, activation: str = "none", pad: int = 0, norm: bool = True) -> Tensor:
    """(1 + g) norm(h) + s, then `none` or `relu`, then reflection padding; without `norm`, (1 + g) h + s.

    h: [N, C, H, W]; `change`: what a Modulation gives, [N or 1, 2 C, 1, 1].
    """
    gain, shift = change.chunk(2, dim=1)
    y = ((1 + gain) * (normalise(h) if norm else h) + shift).to(h.dtype)
    if activation == "relu":
        y = F.relu(y)
    return reflect(y, pad)


def full(x: Tensor) -> Tensor:
    """The strength 1 for pictures x, [1]."""
    return torch.ones(1, device=x.device, dtype=x.dtype)


def disturbed(code: Tensor, keys: Tensor | None) -> Tensor:
    """The code [N, C, H, W] plus noise of N(0, 1), a function of keys [N] alone; the code itself without keys."""
    return code if keys is None else code + normal(keys, code.shape[1:]).to(code.dtype)
