"""The generators, walked layer by layer over a picture of any size (see tiling.py)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from bamkit.gan.train.networks.public_layout import Weights, unet_names
from bamkit.gan.translate.tiling import Enlarged, Joined, Layer, Pixels, Plane, Recoloured, Store, to_uint8


def _layer(weights: Weights, store: Store, source: Plane, name: str, **settings: Any) -> Layer:
    turned = (weights[f"{name}.gain"], weights[f"{name}.shift"]) if f"{name}.gain" in weights else None
    return Layer(source, weights[f"{name}.weight"], weights.get(f"{name}.bias"), store, modulation=turned, **settings)


@torch.inference_mode()
def run_resnet(pixels: NDArray[np.uint8], weights: Weights, store: Store, side: int = 512) -> NDArray[np.uint8]:
    """The ResNet generator over a picture in tiles of `side` pixels.

    `pixels` is uint8 (height, width, 3), both sides multiples of 4 and at least 8; so is the result. `weights` are in
    the public layout without dropout (`model.1.weight`, `model.10.conv_block.5.weight`, ...); `NAME.gain` and
    `NAME.shift` beside them stand behind that convolution's norm.
    """
    blocks = len({name.split(".")[1] for name in weights if ".conv_block." in name})
    conv = partial(_layer, weights, store)
    mirror: dict[str, Any] = {"padding": 1, "mode": "reflect"}
    half, quarter = max(side // 2, 8), max(side // 4, 8)
    x = conv(Pixels(pixels, store), "model.1", padding=3, mode="reflect", activation=F.relu).normalise(side)
    x = conv(x, "model.4", stride=2, padding=1, activation=F.relu).normalise(half)
    x = conv(x, "model.7", stride=2, padding=1, activation=F.relu).normalise(quarter, keep=True)
    for block in range(10, 10 + blocks):
        inner = conv(x, f"model.{block}.conv_block.1", **mirror, activation=F.relu).normalise(quarter, keep=True)
        outer = conv(inner, f"model.{block}.conv_block.5", **mirror).normalise(quarter, keep=True)
        inner.drop()
        x.add(outer, quarter)
        outer.drop()
    up: dict[str, Any] = {"padding": 1, "transposed": True, "activation": F.relu}
    y = conv(x, f"model.{10 + blocks}", **up).normalise(half)
    y = conv(y, f"model.{13 + blocks}", **up).normalise(side)
    y = conv(y, f"model.{17 + blocks}", padding=3, mode="reflect", activation=torch.tanh)
    result = to_pixels(y, side)
    x.drop()
    return result


@torch.inference_mode()
def run_unet(pixels: NDArray[np.uint8], weights: Weights, store: Store, side: int = 512) -> NDArray[np.uint8]:
    """The U-Net generator over a picture in tiles; both sides are multiples of 2 ** (number of downsamplings)."""
    depth = sum(tensor.dim() == 4 for tensor in weights.values()) // 2
    names = unet_names(depth)
    conv = partial(_layer, weights, store, padding=1)
    downs = _halved(conv, [down for down, _ in names], Pixels(pixels, store), side)
    x: Plane = downs[-1]
    below: Layer | None = None
    for level in range(depth - 1, 0, -1):
        y = conv(x, names[level][1], transposed=True).normalise(max(side >> level, 8), keep=True)
        downs[level].drop()
        if below is not None:
            below.drop()
        x, below = Joined(downs[level - 1], y, F.relu), y
    return to_pixels(conv(x, names[0][1], transposed=True, activation=torch.tanh), side)


@torch.inference_mode()
def run_affine(pixels: NDArray[np.uint8], weights: Weights, store: Store, side: int = 512) -> NDArray[np.uint8]:
    """The affine generator over a picture in tiles; both sides are multiples of 2 ** (number of downsamplings)."""
    depth = sum(name.startswith("down.") and name.endswith(".weight") for name in weights)
    conv = partial(_layer, weights, store, padding=1, mode="repeat")
    picture = Pixels(pixels, store)
    downs = _halved(conv, [f"down.{level}" for level in range(depth)], picture, side)
    x: Plane = downs[-1]
    below: Layer | None = None
    for level in range(depth - 1, 0, -1):
        here = max(side >> (level + 1), 8)
        y = conv(x, f"up.{level - 1}", activation=F.relu)
        y = y.keep(here) if level == depth - 1 else y.normalise(here, keep=True)
        downs[level].drop()
        if below is not None:
            below.drop()
        x, below = Joined(downs[level - 1], Enlarged(y), F.relu), y
    return to_pixels(Recoloured(picture, Enlarged(conv(x, "head").keep(max(side // 2, 8)))), side)


def _halved(conv: Callable[..., Layer], names: list[str], picture: Plane, side: int) -> list[Layer]:
    """The way down of a U-Net, from the outermost level to the innermost.

    Every level hands on LeakyReLU of itself; that is harmless on the way up, since ReLU(LeakyReLU(x)) = ReLU(x). The
    innermost level has no norm and goes through ReLU at once.
    """
    innermost = len(names) - 1
    leaky = partial(F.leaky_relu, negative_slope=0.2)
    downs: list[Layer] = []
    for level, name in enumerate(names):
        here = max(side >> (level + 1), 8)
        source = downs[-1] if downs else picture
        layer = conv(source, name, stride=2, activation=F.relu if level == innermost else leaky)
        downs.append(layer.keep(here) if level in (0, innermost) else layer.normalise(here, keep=True))
    return downs


def to_pixels(plane: Plane, side: int) -> NDArray[np.uint8]:
    """The last layer as a picture: -1 .. 1 becomes uint8 (height, width, 3)."""
    out = np.empty((plane.height, plane.width, plane.channels), np.uint8)
    for top, bottom, left, right in plane.tiles(side):
        values = plane.read((top, bottom, left, right))
        out[top:bottom, left:right] = to_uint8(values).permute(1, 2, 0).cpu().numpy()
    return out
