"""The generators and the PatchGAN discriminator of CycleGAN (Zhu et al. 2017, arXiv:1703.10593, appendix 7.2).

Convolutions in front of an instance norm have no bias: the norm subtracts each channel's mean, so that a bias there
changes nothing (written as zeros on export). Activations are never in place: on a norm's output that would cost
autograd copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bamkit.gan.train.networks.affine import AffineGenerator, ConditionalAffineGenerator
from bamkit.gan.train.networks.normalisation import at_least_float32, normalise, reflect
from bamkit.gan.train.networks.strength import Modulation, disturbed, full, modulated
from bamkit.gan.train.settings import TrainConfig

INITIAL_DEVIATION = 0.02
"""Standard deviation of the initial weights (appendix 7.1 of the paper)."""


class ResnetGenerator(nn.Module):
    """[N, 3, H, W] in [-1, 1] -> the same shape and range; H and W must be multiples of 4 and at least 8.

    c7s1-w, d2w, d4w, `blocks` x R4w, u2w, uw, c7s1-3 in the paper's notation (Johnson et al. 2016).
    """

    multiple = 4
    encoder_blocks = 5
    """Blocks that `encode` runs: as far as CUT looks (Park et al. 2020, appendix), all of them if there are fewer."""

    def __init__(self, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 7, bias=False)
        self.down = nn.ModuleList(
            nn.Conv2d(width * k, width * k * 2, 3, stride=2, padding=1, bias=False) for k in (1, 2)
        )
        self.blocks = nn.ModuleList(ResidualBlock(width * 4) for _ in range(blocks))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(width * k, width * k // 2, 3, stride=2, padding=1, output_padding=1, bias=False)
            for k in (4, 2)
        )
        self.head = nn.Conv2d(width, 3, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x)[-1:])

    def encode(self, x: Tensor) -> list[Tensor]:
        """The picture, both downsampling convolutions as they are, and the first and the last block of the encoder."""
        features = [x]
        h = normalise(self.stem(reflect(x, 3)), "relu")
        for down in self.down:
            h = down(h)
            features.append(h)
            h = normalise(h, "relu")
        for number, block in enumerate(self.blocks[: self.encoder_blocks], 1):
            h = block(h)
            if number in (1, len(self.blocks), self.encoder_blocks):
                features.append(h)
        return features

    def decode(self, features: list[Tensor]) -> Tensor:
        """The translation, from the last of what `encode` returns."""
        h = features[-1]
        for block in self.blocks[self.encoder_blocks :]:
            h = block(h)
        h = normalise(self.up[0](h), "relu")
        h = normalise(self.up[1](h), "relu", pad=3)
        return _picture(self.head(h))


class ResidualBlock(nn.Module):
    """[N, C, H, W] -> the same: x + norm(conv(relu(norm(conv(x))))), reflect-padded, no ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = normalise(self.first(reflect(x, 1)), "relu", pad=1)
        return x + normalise(self.second(h))


class ConditionalResnetGenerator(ResnetGenerator):
    """The same, told how far to go: a strength in [0, 1] conditions the decoder (see strength.py).

    As in SANTA (Xie et al. 2023) the first half of the blocks belongs to the encoder, the second to the decoder.
    """

    def __init__(self, width: int = 64, blocks: int = 9) -> None:
        super().__init__(width, blocks)
        inner = [f"blocks.{i}.{which}" for i in range(blocks // 2, blocks) for which in ("first", "second")]
        self.turned = [*inner, "up.0", "up.1"]
        """The convolution behind whose norm each of `turns` stands."""
        self.turns = nn.ModuleList(Modulation(channels) for channels in (*[width * 4] * len(inner), width * 2, width))

    def forward(
        self, x: Tensor, strength: Tensor | None = None, keys: Tensor | None = None, times: int = 1, along: bool = False
    ) -> Any:
        """[N, 3, H, W] and strengths [1 or times N] -> [times N, 3, H, W]; without a strength the whole way, 1.

        For training: the code is disturbed where there are `keys` [N] of noise; each code is decoded `times` times, a
        block of N strengths after the other; with `along` the code [N, ...] and outputs of layers along the decoder
        come too: of the first and the last block, both enlarging convolutions, and the head.
        """
        strength = full(x) if strength is None else strength
        encoding = len(self.blocks) // 2
        h = normalise(self.stem(reflect(x, 3)), "relu")
        h = normalise(self.down[0](h), "relu")
        h = normalise(self.down[1](h), "relu")
        for block in self.blocks[:encoding]:
            h = block(h)
        code = h
        h = disturbed(h, keys).repeat(times, 1, 1, 1)
        changes = [turn(strength) for turn in self.turns]
        features = []
        for i, block in enumerate(cast("list[ResidualBlock]", self.blocks[encoding:])):
            inner = modulated(block.first(reflect(h, 1)), changes[2 * i], "relu", pad=1)
            h = h + modulated(block.second(inner), changes[2 * i + 1])
            features.append(h)
        features = [features[0], features[-1]] if len(features) > 1 else features
        for i, up in enumerate(self.up):
            h = up(h)
            features.append(h)
            h = modulated(h, changes[i - 2], "relu", pad=3 * i)
        h = self.head(h)
        made = _picture(h)
        return (made, [code, *features, h]) if along else made


class UnetGenerator(nn.Module):
    """[N, 3, H, W] in [-1, 1] -> the same; H and W must be multiples of 2^halvings (Isola et al. 2017)."""

    encoder_levels = 4
    """Levels that `encode` runs; all of them if there are fewer."""

    def __init__(self, width: int = 64, halvings: int = 8) -> None:
        super().__init__()
        self.multiple = 2**halvings
        channels = [width * min(2**level, 8) for level in range(halvings)]
        innermost = halvings - 1
        # A bias stays where no norm follows: at both ends and at the innermost level.
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1, bias=level in (0, innermost))
            for level, (before, after) in enumerate(zip([3, *channels], channels, strict=False))
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(
                channels[level] * (1 if level == innermost else 2),
                channels[level - 1] if level else 3,
                4,
                stride=2,
                padding=1,
                bias=level == 0,
            )
            for level in range(halvings)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def encode(self, x: Tensor) -> list[Tensor]:
        """The picture, and what the outermost levels hand over to the decoder."""
        features = [x, self.down[0](x)]
        for level in range(1, min(self.encoder_levels, len(self.down))):
            features.append(self._down(level, features[-1]))
        return features

    def _down(self, level: int, h: Tensor) -> Tensor:
        h = self.down[level](F.leaky_relu(h, 0.2))
        return normalise(h) if level < len(self.down) - 1 else h

    def decode(self, features: list[Tensor]) -> Tensor:
        """The translation, from all that `encode` returns."""
        levels = features[1:]
        for level in range(len(levels), len(self.down)):
            levels.append(self._down(level, levels[-1]))
        h = levels.pop()
        for level in range(len(levels), 0, -1):
            h = torch.cat([levels.pop(), normalise(self.up[level](F.relu(h)))], dim=1)
        return _picture(self.up[0](F.relu(h)))


def _picture(x: Tensor) -> Tensor:
    """tanh(x) in at least float32: in bfloat16 it rounds to 1 from 3.5 on, where its gradient would be 0."""
    return torch.tanh(at_least_float32(x))


class PatchDiscriminator(nn.Module):
    """[N, 3, H, W] in [-1, 1] -> [N, 1, H/8 - 2, W/8 - 2] scores, each of a 70 x 70 patch (C64-C128-C256-C512)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.middle = nn.ModuleList(
            nn.Conv2d(width * k, width * k * 2, 4, stride=2 if k < 4 else 1, padding=1, bias=False) for k in (1, 2, 4)
        )
        self.last = nn.Conv2d(width * 8, 1, 4, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.first(x), 0.2)
        for conv in self.middle:
            h = normalise(conv(h), "leaky")
        scores: Tensor = self.last(h)
        return scores


Generator = ResnetGenerator | UnetGenerator | AffineGenerator
"""The conditional generators are subclasses."""
Conditional = ConditionalResnetGenerator | ConditionalAffineGenerator
"""Those that a strength tells how far to go."""
Convolution = nn.Conv2d | nn.ConvTranspose2d


def generator(config: TrainConfig) -> Generator:
    """A new generator with torch's own initial weights (see `initialise`)."""
    if config.generator == "unet":
        return UnetGenerator(config.width, config.halvings)
    conditional = config.method == "santa"
    if config.generator == "affine":
        return (ConditionalAffineGenerator if conditional else AffineGenerator)(config.width, config.halvings)
    return (ConditionalResnetGenerator if conditional else ResnetGenerator)(config.width, config.blocks)


def discriminator(config: TrainConfig) -> PatchDiscriminator:
    """A new discriminator with torch's own initial weights (see `initialise`)."""
    return PatchDiscriminator(config.discriminator_channels)


@torch.no_grad()
def initialise(network: nn.Module, seed: int) -> None:
    """Draw all weights from N(0, 0.02) and set all biases to 0, the same on every device for the same seed.

    Networks without values, of which only the shapes are counted, are left as they are.
    """
    source = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) or layer.weight.is_meta:
            continue
        drawn = torch.empty(layer.weight.shape).normal_(0.0, INITIAL_DEVIATION, generator=source)
        layer.weight.copy_(drawn)
        if layer.bias is not None:
            layer.bias.zero_()


def convolutions(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d | nn.ConvTranspose2d]]:
    """(name, layer) of every convolution. For the ResNet and the PatchGAN this is the order from input to output."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            yield name, module


def parameters(network: nn.Module) -> int:
    """How many numbers the network learns."""
    return sum(parameter.numel() for parameter in network.parameters())
