"""A trained generator as a function on pictures of any size: batches where they fit, exact tiles where they do not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from bamkit.common.errors import BamkitError
from bamkit.gan.train.networks import public_layout
from bamkit.gan.train.networks.affine import AffineGenerator, ConditionalAffineGenerator
from bamkit.gan.train.networks.cyclegan import (
    Conditional,
    ConditionalResnetGenerator,
    Generator,
    ResnetGenerator,
    UnetGenerator,
)
from bamkit.gan.train.networks.strength import Modulation
from bamkit.gan.translate.tiled_networks import run_affine, run_resnet, run_unet
from bamkit.gan.translate.tiling import Store, to_uint8, untiled_bytes

RUN = {
    ResnetGenerator: run_resnet,
    ConditionalResnetGenerator: run_resnet,
    UnetGenerator: run_unet,
    AffineGenerator: run_affine,
    ConditionalAffineGenerator: run_affine,
}
"""How each kind of generator is run in tiles."""


@dataclass
class Translator:
    """Translates uint8 pictures with one generator.

    A picture whose sides the network does not take is padded at the right and at the bottom by reflection, and the
    result is cropped back, so that it has the picture's own size. A picture that would need more than `memory` bytes
    is translated in tiles of `tile` pixels, with the same result (see tiling.py).
    """

    network: Generator
    device: torch.device
    tile: int = 512
    memory: int = 2_000_000_000
    strength: float | None = None
    """How far to go, 0 .. 1, for a network that has strengths (None: the whole way). It is None for all others."""

    def __post_init__(self) -> None:
        conditional = has_strength(self.network)
        if self.strength is not None and not conditional:
            raise BamkitError(
                "this generator has no strength: it was trained by another method than santa, and goes the whole way",
                "leave --strength away, or bamkit train --method santa",
            )
        self.strength = (1.0 if self.strength is None else self.strength) if conditional else None
        self.network = self.network.to(self.device).eval().requires_grad_(requires_grad=False)
        self.multiple = self.network.multiple
        self.width = public_layout.config_of(self.network).width
        self.id = weights_id(self.network)
        self.in_tiles = 0

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """The next larger size that the network takes: multiples of 4 and at least 8 for the ResNet."""
        least = max(self.multiple, 8)
        sides = (max(least, -(-side // self.multiple) * self.multiple) for side in (height, width))
        return next(sides), next(sides)

    def fits(self, height: int, width: int) -> int:
        """How many pictures of this size one batch may hold; 0 means that even one needs tiles."""
        return self.memory // untiled_bytes(*self.padded_size(height, width), self.width)

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """Translate pictures, uint8 (height, width, 3), that share one padded size; results have their own sizes."""
        sizes = [picture.shape[:2] for picture in pictures]
        padded = [pad(picture, self.padded_size(*size)) for picture, size in zip(pictures, sizes, strict=True)]
        results: list[NDArray[np.uint8]] = []
        room = self.fits(*sizes[0])
        try:
            for start in range(0, len(padded) if room else 0, max(room, 1)):
                results += self.whole(padded[start : start + room])
        except torch.OutOfMemoryError:
            # The GPU holds less than `memory` says: tiles then, which need far less.
            torch.cuda.empty_cache()
        for picture in padded[len(results) :]:
            results.append(self.tiled(picture))
            self.in_tiles += 1
        return [result[:height, :width] for result, (height, width) in zip(results, sizes, strict=True)]

    @torch.inference_mode()
    def whole(self, pictures: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """One forward pass over a batch of pictures of one size that the network takes."""
        batch = torch.from_numpy(np.stack(pictures)).to(self.device).permute(0, 3, 1, 2)
        given = () if self.strength is None else (torch.tensor([self.strength], device=self.device),)
        made = self.network(batch.float() / 127.5 - 1, *given)
        return list(to_uint8(made).permute(0, 2, 3, 1).cpu().numpy())

    def tiled(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same for one picture, tile by tile."""
        run, weights = RUN[type(self.network)], public_layout.weights(self.network)
        if self.strength is not None:
            weights |= modulations(self.network, self.strength)
        return run(picture, weights, Store(self.device, self.memory), self.tile)


def has_strength(network: torch.nn.Module) -> bool:
    """Whether a strength tells the generator how far to go."""
    return isinstance(network, Conditional)


@torch.inference_mode()
def modulations(network: torch.nn.Module, strength: float) -> public_layout.Weights:
    """Gain and shift, (channels,), behind each norm at a strength: `NAME.gain` and `NAME.shift` by public name."""
    assert isinstance(network, Conditional)
    public = dict(public_layout.names(network))
    found: public_layout.Weights = {}
    for name, turn in zip(network.turned, cast("list[Modulation]", network.turns), strict=True):
        gain, shift = turn(turn.weight.new_tensor([strength])).flatten().chunk(2)
        found |= {f"{public[name]}.gain": 1 + gain, f"{public[name]}.shift": shift}
    return found


def pad(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture, reflected at the right and at the bottom up to `size` (height, width)."""
    margins = [(0, size[0] - picture.shape[0]), (0, size[1] - picture.shape[1]), (0, 0)]
    return np.pad(picture, margins, mode="reflect") if any(after for _, after in margins) else picture


def weights_id(network: torch.nn.Module) -> str:
    """The first 16 hex digits of the SHA-256 of a network's weights in public order: names a translation's maker."""
    digest = hashlib.sha256()
    for name, tensor in public_layout.weights(network).items():
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]
