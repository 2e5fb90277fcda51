"""A list of shapes in picture coordinates. Painters of things add to it; a medium (media.py) turns it into pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Color = tuple[int, int, int]
Points = NDArray[np.float64]

SUPERSAMPLE = 2
"""Shapes are drawn at this multiple of the picture's size and averaged down: Pillow's polygons have hard edges."""


class Shape(NamedTuple):
    """A filled outline, `points` as x0, y0, x1, y1, ... in supersampled pixels."""

    points: list[float]
    color: Color
    line: float
    """Weight of its outline in media that draw one: 1 is ordinary, 0 is none."""
    bump: float
    """How far it stands out in media with relief: 1 is ordinary, 0 is flat."""


class Line(NamedTuple):
    """A line with round ends; width in supersampled pixels."""

    points: list[float]
    color: Color
    width: float
    line: float


class Glow(NamedTuple):
    """A soft round light (or shade): full strength in the middle, nothing at the rim."""

    x: float
    y: float
    rx: float
    ry: float
    color: Color
    strength: float


class Veil(NamedTuple):
    """A soft band of mist over the whole width, densest at the middle of its height."""

    top: float
    bottom: float
    color: Color
    strength: float
    seed: float


class Backdrop(NamedTuple):
    """A vertical gradient from `top` to `bottom` through `colors`; what lies below `bottom` gets the last one."""

    top: float
    bottom: float
    colors: tuple[Color, ...]


Op = Shape | Line | Glow | Veil | Backdrop


@dataclass
class Canvas:
    """What has been painted so far, in order. Coordinates are those of the finished picture, y downwards."""

    width: int
    height: int
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    vignette: float = 0.0
    """How much darker the corners are (0..1)."""
    wobble: float = 0.0
    """By how many pixels an unsteady hand moves the outlines."""
    phase: float = 0.0
    ops: list[Op] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scale = self.zoom * SUPERSAMPLE
        cx, cy = self.width / 2, self.height / 2
        self.move = np.array(
            [
                (cx * (1 - self.zoom) + self.shift[0]) * SUPERSAMPLE,
                (cy * (1 - self.zoom) + self.shift[1]) * SUPERSAMPLE,
            ]
        )

    @property
    def unit(self) -> float:
        """One hundredth of the shorter side."""
        return min(self.width, self.height) / 100

    def place(self, points: ArrayLike) -> list[float]:
        placed = np.asarray(points, dtype=np.float64) * self.scale + self.move
        if self.wobble:
            turned = placed[..., ::-1] * (0.021, 0.017) + placed * (0.006, 0.009) + self.phase
            placed = placed + self.wobble * SUPERSAMPLE * (np.sin(turned) + 0.4 * np.sin(2.7 * turned + 1))
        return [float(value) for value in placed.ravel()]

    def shape(self, points: ArrayLike, color: Color, line: float = 1.0, bump: float = 1.0) -> None:
        self.ops.append(Shape(self.place(points), color, line, bump))

    def line(self, points: ArrayLike, color: Color, width: float, line: float = 0.0) -> None:
        self.ops.append(Line(self.place(points), color, width * self.scale, line))

    def glow(self, x: float, y: float, rx: float, ry: float, color: Color, strength: float) -> None:
        px, py = self.place((x, y))
        self.ops.append(Glow(px, py, rx * self.scale, ry * self.scale, color, strength))

    def veil(self, top: float, bottom: float, color: Color, strength: float, seed: float = 0.0) -> None:
        (_, a), (_, b) = self.place((0, top)), self.place((0, bottom))
        self.ops.append(Veil(a, b, color, strength, seed))

    def backdrop(self, top: float, bottom: float, colors: Sequence[Color]) -> None:
        (_, a), (_, b) = self.place((0, top)), self.place((0, bottom))
        self.ops.append(Backdrop(a, b, tuple(colors)))

    def at(self, x: float, y: float, size: float, flip: bool = False, angle: float = 0.0) -> Local:
        """A coordinate system for one thing: its foot at (x, y), one unit = `size` pixels, y downwards."""
        return Local(self, x, y, size, -1.0 if flip else 1.0, angle)


class Local:
    """Draws a thing in its own coordinates. Widths and radii are in units of its size."""

    def __init__(self, canvas: Canvas, x: float, y: float, size: float, flip: float, angle: float) -> None:
        self.canvas, self.x, self.y, self.size, self.flip, self.angle = canvas, x, y, size, flip, angle
        cos, sin = math.cos(angle) * size, math.sin(angle) * size
        self._matrix = np.array([[cos * flip, sin * flip], [-sin, cos]])
        self._origin = np.array([x, y])

    def world(self, points: ArrayLike) -> Points:
        placed: Points = np.asarray(points, dtype=np.float64) @ self._matrix + self._origin
        return placed

    def poly(self, points: ArrayLike, color: Color, line: float = 1.0, bump: float = 1.0) -> None:
        """A polygon with straight sides."""
        self.canvas.shape(self.world(points), color, line, bump)

    def blob(self, points: ArrayLike, color: Color, line: float = 1.0, bump: float = 1.0) -> None:
        """A closed smooth curve through the points."""
        self.canvas.shape(self.world(smooth(points, closed=True)), color, line, bump)

    def oval(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float | None = None,
        color: Color = (0, 0, 0),
        angle: float = 0.0,
        line: float = 1.0,
        bump: float = 1.0,
    ) -> None:
        """An ellipse with its centre at (x, y), turned by `angle` radians."""
        ry = rx if ry is None else ry
        circle = unit_circle(12 if max(rx, ry) * self.size < 4 else 20 if max(rx, ry) * self.size < 16 else 36)
        cos, sin = math.cos(angle), math.sin(angle)
        turned = circle @ np.array([[rx * cos, rx * sin], [-ry * sin, ry * cos]]) + (x, y)
        self.canvas.shape(self.world(turned), color, line, bump)

    def line(self, points: ArrayLike, color: Color, width: float, line: float = 0.0) -> None:
        """A line of straight pieces."""
        self.canvas.line(self.world(points), color, max(width * self.size, 0.6), line)

    def curve(self, points: ArrayLike, color: Color, width: float, line: float = 0.0) -> None:
        """A smooth line through the points."""
        self.canvas.line(self.world(smooth(points)), color, max(width * self.size, 0.6), line)

    def glow(self, x: float, y: float, r: float, color: Color, strength: float, flat: float = 1.0) -> None:
        """A soft light (or shade) of radius `r`, `flat` times as high as wide."""
        (px, py) = self.world((x, y))
        self.canvas.glow(px, py, r * self.size, r * self.size * flat, color, strength)

    def part(self, x: float, y: float, size: float = 1.0, flip: bool = False, angle: float = 0.0) -> Local:
        """A coordinate system within this one."""
        px, py = self.world((x, y))
        turn = self.angle + angle * self.flip
        return Local(self.canvas, px, py, self.size * size, self.flip * (-1.0 if flip else 1.0), turn)


@lru_cache(maxsize=16)
def unit_circle(count: int) -> Points:
    """`count` points of the unit circle, shape (count, 2)."""
    turn = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


@lru_cache(maxsize=64)
def _spline(count: int, closed: bool, steps: int) -> NDArray[np.float64]:
    """The matrix that takes `count` points to the Catmull-Rom curve through them, `steps` points a span."""
    t = np.linspace(0, 1, steps, endpoint=False)
    basis = 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], axis=1
    )
    spans = count if closed else count - 1
    matrix = np.zeros((spans * steps + (0 if closed else 1), count))
    for span in range(spans):
        rows = slice(span * steps, (span + 1) * steps)
        for k in range(4):
            at = (span + k - 1) % count if closed else min(max(span + k - 1, 0), count - 1)
            matrix[rows, at] += basis[:, k]
    if not closed:
        matrix[-1, -1] = 1.0
    return matrix


def smooth(points: ArrayLike, closed: bool = False, steps: int = 6) -> Points:
    """The Catmull-Rom curve through the points, shape (n, 2)."""
    points = np.asarray(points, dtype=np.float64)
    curve: Points = _spline(len(points), closed, steps) @ points
    return curve


def mix(a: Color, b: Color, share: float) -> Color:
    """`a` with `share` (0..1) of `b` in it."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def darker(color: Color, share: float = 0.2) -> Color:
    """The colour in shade: darker and a little bluer."""
    return mix(color, (20, 16, 52), share)


def lighter(color: Color, share: float = 0.2) -> Color:
    """The colour in the sun: lighter and a little warmer."""
    return mix(color, (255, 250, 228), share)


def rgb(text: str) -> Color:
    """`3fa9f5` as a colour."""
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)
