"""Paper, pencil, hatching, dots and brush strokes: tiles made once a process, cut to size at a random place."""

from __future__ import annotations

import math
import random
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Floats = NDArray[np.float32]
Number = TypeVar("Number", bound=np.generic)
TILE = 640
"""Side of every tile in pixels; tiles repeat without a seam."""


def cut(tile: NDArray[Number], shape: tuple[int, ...], rng: random.Random) -> NDArray[Number]:
    """`shape` (height, width, ...) pixels of a repeating tile from a random place."""
    height, width = shape[:2]
    rows = (np.arange(height) + rng.randrange(TILE)) % TILE
    columns = (np.arange(width) + rng.randrange(TILE)) % TILE
    return tile.take(rows, axis=0).take(columns, axis=1)


@cache
def noise(along: float, across: float | None = None, angle: float = 0.0, seed: int = 1) -> Floats:
    """Smooth noise around 0 with deviation 1: white noise blurred by `along` and `across` pixels, turned by `angle`."""
    across = along if across is None else across
    white = np.random.default_rng(seed).random((TILE, TILE)) - 0.5
    fy, fx = np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :]
    u = fx * math.cos(angle) + fy * math.sin(angle)
    v = -fx * math.sin(angle) + fy * math.cos(angle)
    keep = np.exp(-2 * (math.pi**2) * ((u * along) ** 2 + (v * across) ** 2))
    keep[0, 0] = 0
    blurred = np.fft.irfft2(np.fft.rfft2(white) * keep, s=(TILE, TILE))
    return np.asarray(blurred / blurred.std(), np.float32)


@cache
def paper() -> Floats:
    """The tooth of rough paper, deviation 1."""
    return np.asarray(0.7 * noise(1.1, seed=2) + 0.6 * noise(2.6, seed=3) + 0.35 * noise(9, seed=4), np.float32)


@cache
def pencil() -> Floats:
    """Slanting pencil strokes over the tooth of paper, deviation about 1."""
    strokes = 0.6 * noise(13, 0.8, -0.9, seed=5) + 0.4 * noise(8, 0.8, -0.5, seed=15)
    return np.asarray(strokes + 0.7 * noise(0.6, seed=6) + 0.2 * noise(24, seed=7), np.float32)


@cache
def hatching() -> Floats:
    """How light a place may be and still get ink there (0..1): lines in four directions, a new one for each depth."""
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float32)
    wobble = 1.6 * noise(22, seed=8)
    result = np.zeros((TILE, TILE), np.float32)
    # Whole numbers of lines a tile, so that the tile repeats without a seam.
    lines = ((0.74, 78, 82), (0.52, 86, -70), (0.33, 6, 118), (0.17, 122, 10))
    for level, kx, ky in lines:
        phase = (x * kx + y * ky) / TILE + wobble * math.hypot(kx, ky) / TILE * 0.6
        wave = 0.5 + 0.5 * np.cos(2 * math.pi * phase)
        result = np.maximum(result, level * np.clip(wave * 1.7 - 0.55, 0, 1))
    return result


@cache
def dots() -> Floats:
    """A halftone screen at 45 degrees, 0 in the middle of a dot and 1 between dots."""
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float32)
    turns = 2 * math.pi * 80 / TILE
    screen = 0.5 - 0.25 * (np.cos(turns * (x + y)) + np.cos(turns * (x - y)))
    return np.asarray(screen, np.float32)


@cache
def strokes(length: float, width: float) -> tuple[NDArray[np.int16], NDArray[np.int16], Floats]:
    """Brush strokes of `length` x `width` pixels that cover a tile.

    Gives for each pixel how far away the middle of its stroke lies (dy, dx, int16, so that a picture can take its
    colour there), and the relief of the paint (float32, factors around 1).
    """
    rng = random.Random(f"strokes/{length}")
    flow = noise(70, seed=9)
    sheet = Image.new("I", (TILE, TILE), 0)
    draw = ImageDraw.Draw(sheet)
    count = round(5.5 * TILE * TILE / (length * width))
    place = np.zeros((count + 1, 3), np.float32)
    outline = [(-1, -0.5), (-0.8, -1), (0.8, -1), (1, -0.4), (1, 0.5), (0.75, 1), (-0.85, 1), (-1, 0.4)]
    for i in range(1, count + 1):
        cx, cy = rng.uniform(0, TILE), rng.uniform(0, TILE)
        angle = -0.6 + 0.55 * float(flow[int(cy), int(cx)]) + rng.gauss(0, 0.18)
        cos, sin = math.cos(angle), math.sin(angle)
        long, wide = length / 2 * rng.uniform(0.7, 1.2), width / 2 * rng.uniform(0.75, 1.25)
        points = [
            (cx + px * long * cos - py * wide * sin, cy + px * long * sin + py * wide * cos) for px, py in outline
        ]
        place[i] = cx, cy, angle
        for ox in (-TILE, 0, TILE):
            for oy in (-TILE, 0, TILE):
                if -long < cx + ox < TILE + long and -long < cy + oy < TILE + long:
                    draw.polygon([(px + ox, py + oy) for px, py in points], i)
    which = np.asarray(sheet)
    y, x = np.mgrid[0:TILE, 0:TILE]
    painted = which > 0
    dx = ((place[which, 0] - x + TILE / 2) % TILE - TILE / 2) * painted
    dy = ((place[which, 1] - y + TILE / 2) % TILE - TILE / 2) * painted
    across = dx * np.sin(place[which, 2]) - dy * np.cos(place[which, 2])
    bristles = 0.016 * np.sin(across * 2.3 + which) + 0.045 * across / width
    own = 0.03 * np.random.default_rng(10).standard_normal(count + 1)[which]
    return dy.astype(np.int16), dx.astype(np.int16), (1 + bristles + own).astype(np.float32)


@cache
def disc(side: int = 128) -> Image.Image:
    """A round mask, 255 in the middle and falling softly to 0 at the rim."""
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side * 2 - 1
    fall = np.clip(1 - np.hypot(x, y), 0, 1)
    return Image.fromarray((255 * fall * fall * (3 - 2 * fall)).astype(np.uint8))


@cache
def mist() -> Image.Image:
    """Uneven bands of mist as a mask of TILE x 256 pixels, densest at half height."""
    band = np.sin(np.linspace(0, math.pi, 256))[:, None] ** 1.5
    uneven = np.clip(0.8 + 0.22 * noise(90, 16, seed=11)[:256], 0, 1.1)
    return Image.fromarray(np.clip(255 * band * uneven, 0, 255).astype(np.uint8))


@cache
def vignette() -> Image.Image:
    """A mask of 64 x 64 pixels: 0 in the middle, 255 in the corners."""
    y, x = (np.mgrid[0:64, 0:64] + 0.5) / 32 - 1
    return Image.fromarray((255 * np.clip((x * x + y * y) / 2, 0, 1) ** 1.3).astype(np.uint8))
