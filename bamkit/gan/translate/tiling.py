"""A generator run over a picture of any size in tiles, with the result of one big forward pass.

Instance norm (Ulyanov, Vedaldi & Lempitsky 2016, eq. 7) subtracts each channel's mean over the **whole** picture and
divides by its standard deviation. A tile that is normalised on its own gets another colour than its neighbour, and the
seam is visible however far the tiles overlap. So no tile is normalised on its own here. The network is walked layer by
layer; every layer is streamed tile by tile, each tile reading as much of its neighbours as its kernel covers; the
layer's statistics are merged over its tiles (Chan, Golub & LeVeque 1983, eq. 2.1) and only then used. The result is the
untiled one up to the order of floating-point sums: there are no seams to hide.

What is kept between layers lies at a quarter of the picture's side (16 numbers a pixel for a network of width 64).
Layers at full size are computed again each time a neighbour asks for them, which costs about a fifth more arithmetic
and keeps their 64 numbers a pixel out of memory. What does not fit in `memory` bytes goes to a temporary file.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bamkit.gan.train.networks import affine

EPS = 1e-5
Region = tuple[int, int, int, int]
"""Top, bottom, left, right; bottom and right exclusive. May reach over the border where the reader pads."""


@dataclass
class Store:
    """Where whole layers are kept: in memory while `memory` bytes last, then in temporary files that are unlinked."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    memory: int = 2_000_000_000
    dtype: torch.dtype = torch.float32
    used: int = 0

    def empty(self, channels: int, height: int, width: int) -> Tensor:
        """An uninitialised (channels, height, width) tensor; give it back with `release`."""
        size = channels * height * width * self.dtype.itemsize
        if self.used + size <= self.memory:
            self.used += size
            return torch.empty(channels, height, width, dtype=self.dtype, device=self.device)
        name = np.float64 if self.dtype == torch.float64 else np.float32
        with tempfile.TemporaryFile(prefix="bamkit-tiles-") as file:
            return torch.from_numpy(np.memmap(file, dtype=name, mode="w+", shape=(channels, height, width)))

    def release(self, array: Tensor) -> None:
        size = array.numel() * array.element_size()
        self.used = max(0, self.used - size)


class Plane:
    """One layer's values over the whole picture, read a region at a time."""

    channels: int
    height: int
    width: int

    def read(self, region: Region) -> Tensor:
        """Values (channels, h, w) of a region that lies inside the plane."""
        raise NotImplementedError

    def padded(self, region: Region, mode: str) -> Tensor:
        """Values of a region that may reach over the border: mirrored there (`reflect`), repeated or 0 (`zeros`)."""
        top, bottom, left, right = region
        inside = (max(top, 0), min(bottom, self.height), max(left, 0), min(right, self.width))
        if inside == region:
            return self.read(region)
        if mode == "zeros":
            margins = (inside[2] - left, right - inside[3], inside[0] - top, bottom - inside[1])
            return F.pad(self.read(inside), margins)
        outside = mirrored if mode == "reflect" else repeated
        rows = outside(torch.arange(top, bottom), self.height)
        columns = outside(torch.arange(left, right), self.width)
        first = (int(rows.min()), int(columns.min()))
        values = self.read((first[0], int(rows.max()) + 1, first[1], int(columns.max()) + 1))
        rows, columns = (rows - first[0]).to(values.device), (columns - first[1]).to(values.device)
        return values.index_select(1, rows).index_select(2, columns)

    def tiles(self, side: int) -> Iterator[Region]:
        """Regions of at most `side` x `side` that cover the plane once."""
        for top in range(0, self.height, side):
            for left in range(0, self.width, side):
                yield top, min(top + side, self.height), left, min(left + side, self.width)


def mirrored(index: Tensor, size: int) -> Tensor:
    """Indices reflected into 0 .. size - 1 without repeating the border, as torch's `reflect` padding does."""
    if size == 1:
        return torch.zeros_like(index)
    period = 2 * (size - 1)
    index = index.remainder(period)
    return torch.where(index < size, index, period - index)


def repeated(index: Tensor, size: int) -> Tensor:
    """Indices outside 0 .. size - 1 moved to the border."""
    return index.clamp(0, size - 1)


class Pixels(Plane):
    """The picture itself: uint8 (height, width, 3), read as RGB in -1 .. 1."""

    def __init__(self, pixels: NDArray[np.uint8], store: Store) -> None:
        self.pixels, self.store = pixels, store
        self.height, self.width, self.channels = pixels.shape

    def read(self, region: Region) -> Tensor:
        top, bottom, left, right = region
        part = torch.from_numpy(np.array(self.pixels[top:bottom, left:right]))
        return part.to(self.store.device).permute(2, 0, 1).to(self.store.dtype) / 127.5 - 1


class Layer(Plane):
    """Convolution, then instance norm once its statistics are known, then gain and shift, if any, then an activation.

    `transposed` doubles the side (stride 2, padding 1, output padding as needed); otherwise the side is divided by
    `stride`. `mode` is the padding at the border: `reflect`, `repeat` or `zeros`.
    """

    def __init__(
        self,
        source: Plane,
        weight: Tensor,
        bias: Tensor | None,
        store: Store,
        *,
        stride: int = 1,
        padding: int,
        mode: str = "zeros",
        transposed: bool = False,
        activation: Callable[[Tensor], Tensor] | None = None,
        modulation: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.source: Plane | None = source
        self.weight = weight.to(store.device, store.dtype)
        self.bias = None if bias is None else bias.to(store.device, store.dtype)
        self.store, self.stride, self.padding, self.mode = store, stride, padding, mode
        self.transposed, self.activation = transposed, activation
        self.kernel = weight.shape[-1]
        self.channels = weight.shape[1] if transposed else weight.shape[0]
        self.height, self.width = (
            size * 2 if transposed else (size + 2 * padding - self.kernel) // stride + 1
            for size in (source.height, source.width)
        )
        self.norm: tuple[Tensor, Tensor] | None = None
        """Mean and reciprocal of the standard deviation, (channels, 1, 1)."""
        self.modulation = modulation and tuple(part.to(store.device, store.dtype)[:, None, None] for part in modulation)
        """Gain and shift after the norm, (channels, 1, 1)."""
        self.kept: Tensor | None = None

    def raw(self, region: Region) -> Tensor:
        """The convolution's output, before norm and activation."""
        assert self.source is not None
        return (self._transposed if self.transposed else self._convolved)(self.source, region)

    def _convolved(self, source: Plane, region: Region) -> Tensor:
        top, bottom, left, right = region
        reach = self.kernel - self.padding
        need = (
            top * self.stride - self.padding,
            (bottom - 1) * self.stride + reach,
            left * self.stride - self.padding,
            (right - 1) * self.stride + reach,
        )
        values = source.padded(need, self.mode)
        return F.conv2d(values[None], self.weight, self.bias, stride=self.stride)[0]

    def _transposed(self, source: Plane, region: Region) -> Tensor:
        # Input i reaches outputs 2i - padding .. 2i - padding + kernel - 1; one more input on every side is enough.
        top, bottom, left, right = region
        need = (top // 2 - 1, (bottom + 1) // 2 + 1, left // 2 - 1, (right + 1) // 2 + 1)
        values = source.padded(need, "zeros")
        whole = F.conv_transpose2d(values[None], self.weight, self.bias, stride=2)[0]
        first = (top - (2 * need[0] - self.padding), left - (2 * need[2] - self.padding))
        return whole[:, first[0] : first[0] + bottom - top, first[1] : first[1] + right - left]

    def normalise(self, side: int, keep: bool = False) -> Layer:
        """One pass over the tiles: gather mean and variance of every channel; with `keep`, keep the raw values too."""
        moments = Moments()
        for values in self._stream(side, keep):
            moments.add(values)
        variance = moments.squares / moments.count
        self.norm = (
            moments.mean.to(self.store.dtype)[:, None, None],
            (variance + EPS).rsqrt().to(self.store.dtype)[:, None, None],
        )
        return self

    def keep(self, side: int) -> Layer:
        """Keep the raw values without a norm."""
        for _ in self._stream(side, keep=True):
            pass
        return self

    def _stream(self, side: int, keep: bool) -> Iterator[Tensor]:
        """The raw values tile by tile; with `keep` they are kept, and the layer below is let go."""
        kept = self.store.empty(self.channels, self.height, self.width) if keep else None
        for top, bottom, left, right in self.tiles(side):
            values = self.raw((top, bottom, left, right))
            if kept is not None:
                kept[:, top:bottom, left:right] = values.to(kept.device)
            yield values
        if kept is not None:
            self.kept, self.source = kept, None

    def read(self, region: Region) -> Tensor:
        if self.kept is None:
            values = self.raw(region)
        else:
            top, bottom, left, right = region
            values = self.kept[:, top:bottom, left:right].to(self.store.device)
        if self.norm is not None:
            values = (values - self.norm[0]) * self.norm[1]
        if self.modulation is not None:
            values = self.modulation[0] * values + self.modulation[1]
        return values if self.activation is None else self.activation(values)

    def add(self, other: Layer, side: int) -> None:
        """Replace the kept values by this layer's output plus `other`'s: the sum at the end of a residual block."""
        assert self.kept is not None
        for top, bottom, left, right in self.tiles(side):
            values = self.read((top, bottom, left, right)) + other.read((top, bottom, left, right))
            self.kept[:, top:bottom, left:right] = values.to(self.kept.device)
        self.norm = self.modulation = self.activation = None

    def drop(self) -> None:
        """Give the kept values back."""
        if self.kept is not None:
            self.store.release(self.kept)
            self.kept = None


class Joined(Plane):
    """The channels of two planes of one size, one after the other (a U-Net's skip connection)."""

    def __init__(self, first: Plane, second: Plane, activation: Callable[[Tensor], Tensor]) -> None:
        self.first, self.second, self.activation = first, second, activation
        self.channels = first.channels + second.channels
        self.height, self.width = first.height, first.width

    def read(self, region: Region) -> Tensor:
        return self.activation(torch.cat([self.first.read(region), self.second.read(region)]))


class Enlarged(Plane):
    """A plane at twice its size (see affine.enlarge)."""

    def __init__(self, source: Plane) -> None:
        self.source, self.channels = source, source.channels
        self.height, self.width = 2 * source.height, 2 * source.width

    def read(self, region: Region) -> Tensor:
        # An output lies between two inputs; one more input on every side is enough.
        top, bottom, left, right = region
        need = (top // 2 - 1, (bottom + 1) // 2 + 1, left // 2 - 1, (right + 1) // 2 + 1)
        values = affine.enlarge(self.source.padded(need, "repeat")[None])[0]
        first = (top - 2 * need[0], left - 2 * need[2])
        return values[:, first[0] : first[0] + bottom - top, first[1] : first[1] + right - left]


class Recoloured(Plane):
    """A picture after the colour transforms of another plane (see affine.recolour)."""

    def __init__(self, picture: Plane, transform: Plane) -> None:
        self.picture, self.transform = picture, transform
        self.channels, self.height, self.width = picture.channels, picture.height, picture.width

    def read(self, region: Region) -> Tensor:
        return affine.recolour(self.picture.read(region)[None], self.transform.read(region)[None])[0]


class Moments:
    """Mean and sum of squared deviations of every channel, merged tile by tile in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros(1, dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """Merge a tile (channels, h, w)."""
        flat = values.flatten(1)
        count, near = flat.shape[1], flat.mean(dim=1)
        # Deviations from a mean that rounding has moved tell by how much: a flat channel's mean is then its value, and
        # its norm 0. Two passes over centred values are as exact as torch.var_mean and on a CPU twenty times faster.
        deviations = flat - near[:, None]
        shift = deviations.mean(dim=1).double()
        mean = near.double() + shift
        squares = torch.linalg.vector_norm(deviations, dim=1).double() ** 2 - count * shift**2
        squares = squares.clamp_(min=0)
        if self.count == 0:
            self.count, self.mean, self.squares = count, mean, squares
            return
        total = self.count + count
        delta = mean - self.mean
        self.mean = self.mean + delta * (count / total)
        self.squares = self.squares + squares + delta**2 * (self.count * count / total)
        self.count = total


def to_uint8(values: Tensor) -> Tensor:
    """-1 .. 1 to 0 .. 255, rounded to the nearest."""
    return ((values + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)


def untiled_bytes(height: int, width: int, channels: int) -> int:
    """About how much memory one untiled forward pass takes, in bytes (float32; three full-size layers at a time)."""
    return math.ceil(3.5 * 4 * channels * height * width)
