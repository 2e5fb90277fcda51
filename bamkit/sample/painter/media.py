"""The seven media: how a canvas becomes a picture."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageEnhance, ImageFilter

from bamkit.sample.painter import raster, textures
from bamkit.sample.painter.canvas import Canvas
from bamkit.sample.painter.light import Light

Floats = NDArray[np.float32]
Medium = Callable[[Canvas, Light, random.Random], Image.Image]


def vectorart(canvas: Canvas, light: Light, rng: random.Random) -> Image.Image:
    """Flat shapes with clean edges."""
    return raster.flat(canvas)


def comic(canvas: Canvas, light: Light, rng: random.Random) -> Image.Image:
    """Strong colours, black outlines, halftone dots in the shade, a white gutter around the panel."""
    image = ImageEnhance.Color(raster.flat(canvas, (16, 12, 22), 0.34 * canvas.unit)).enhance(1.25)
    color = _floats(image)
    if light.dark:
        # Printed nights are blue, not black: lines and dots must still be seen on them.
        color = color**0.8
    shade = 1 - _luminance(color)
    screen = textures.cut(textures.dots(), shade.shape, rng)
    amount = np.clip((shade * 0.95 - screen) * 4 + 0.5, 0, 1)[..., None]
    color *= 1 - (0.34 if light.mood != "happy" else 0.22) * amount
    return _panel(_image(color), light, rng)


def pen_ink(canvas: Canvas, light: Light, rng: random.Random) -> Image.Image:
    """Ink lines and hatching on paper over a thin wash of colour; at night white lines scratched into black."""
    color = _floats(raster.flat(canvas))
    lines = 1 - _floats(raster.outlines(canvas, 0.25 * canvas.unit))
    hatch = textures.cut(textures.hatching(), lines.shape, rng)
    grain = _paper(lines.shape, rng)[..., None]
    tone = _luminance(color)
    if light.dark:
        scratched = np.clip((hatch - 1 + np.sqrt(tone) * 1.12) * 5, 0, 1)
        white = np.maximum(scratched * 0.85, 0.5 * lines)
        board = np.array((0.055, 0.05, 0.085), np.float32) + 0.5 * color
        chalk = 0.35 * np.array((0.93, 0.92, 0.88), np.float32) + 0.65 * np.sqrt(color)
        return _image(board + (chalk - board) * white[..., None] + 0.008 * grain)
    ink = np.maximum(np.clip((hatch - tone**0.8 + 0.05) * 6, 0, 1) * 0.9, lines)
    wash = rng.choice((0.0, 0.45, 0.6, 0.75))
    sheet = np.array((0.98, 0.955, 0.9) if light.mood != "gloomy" else (0.88, 0.88, 0.86), np.float32)
    ground = sheet * (1 - wash + wash * np.sqrt(color)) + 0.01 * grain
    pen = np.array((0.07, 0.06, 0.1) if rng.random() < 0.7 else (0.22, 0.13, 0.08), np.float32)
    return _image(ground + (pen - ground) * ink[..., None])


def graphite(canvas: Canvas, light: Light, rng: random.Random) -> Image.Image:
    """Grey pencil: soft outlines, slanting strokes, the tooth of the paper."""
    tone = _luminance(_floats(raster.flat(canvas)))
    lines = 1 - _floats(raster.outlines(canvas, 0.26 * canvas.unit, 20))
    strokes = textures.cut(textures.pencil(), tone.shape, rng)
    lead = 1 - np.clip(1.3 * tone, 0, 1) ** 0.88 if light.dark else 1 - tone**0.9
    lead = lead * np.clip(0.92 + 0.13 * strokes, 0.3, 1.25) + 0.55 * lines * np.clip(0.9 + 0.2 * strokes, 0.4, 1.2)
    sheet = 0.965 + 0.008 * _paper(tone.shape, rng)
    grey = np.clip(sheet - 0.87 * np.clip(lead, 0, 1), 0.05, 1)
    return _image(grey[..., None] * np.array((1, 0.995, 0.975), np.float32))


def watercolor(canvas: Canvas, light: Light, rng: random.Random) -> Image.Image:
    """Soft washes that pool at their edges, on rough paper, sometimes with an unpainted rim."""
    image = raster.flat(canvas)
    color = _floats(image.filter(ImageFilter.BoxBlur(1)))
    soft = _floats(image.filter(ImageFilter.BoxBlur(5)))
    # Pigment gathers where a wash ends: darken where a place is darker than its surroundings.
    color += 0.75 * np.minimum(color - soft, 0)
    shape = color.shape[:2]
    grain = _paper(shape, rng)
    strength = (0.92 if light.dark else 0.78) + 0.075 * textures.cut(textures.noise(34, seed=12), shape, rng)
    strength += 0.03 * grain
    if rng.random() < 0.55:
        strength *= _rim(shape, rng)
    sheet = np.array((0.985, 0.975, 0.95), np.float32)
    return _image(sheet - (sheet - color) * strength[..., None] + 0.012 * grain[..., None])


def oilpaint(canvas: Canvas, light: Light, rng: random.Random) -> Image.Image:
    """Brush strokes, broad ones for the ground and small ones where there is detail, with the relief of paint."""
    image = raster.flat(canvas)
    height, width = image.height, image.width
    detail = (
        ImageChops.difference(image, image.filter(ImageFilter.BoxBlur(5))).convert("L").filter(ImageFilter.BoxBlur(2))
    )
    small = np.asarray(detail) > 3
    place = rng.random()
    broad, fine = (
        [textures.cut(tile, (height, width), random.Random(place)) for tile in textures.strokes(*size)]
        for size in ((22.0, 7.5), (7.5, 3.0))
    )
    dy, dx, paint = (np.where(small, b, a) for a, b in zip(broad, fine, strict=True))
    color = _taken(np.asarray(image), dy, dx).astype(np.float32) * (paint * np.float32(1 / 255))[..., None]
    return ImageEnhance.Color(_image(color)).enhance(1.1)


def solids(canvas: Canvas, light: Light, rng: random.Random) -> Image.Image:
    """Rounded solids as if modelled in clay: light from the upper left, cast shadows, highlights."""
    color = _floats(raster.flat(canvas))
    height = Image.fromarray(_floats(raster.relief(canvas, 0.5 * canvas.unit)))
    u = canvas.unit
    layers = [_blurred(height, size * u) for size in (1.0, 2.6, 7.0)]
    total = 0.45 * layers[0] + 1.0 * layers[1] + 2.6 * layers[2]
    slope = np.zeros_like(total)
    slope[1:, 1:] = (total[1:, 1:] - total[:-1, 1:]) * 0.8 + (total[1:, 1:] - total[1:, :-1]) * 0.6
    # Only what stands out is shaded: its light must not spill over the ground around it.
    slope *= u * 1.6 * np.clip((np.asarray(height) - 0.5) * 2.4, 0.08, 1)
    crease = np.clip(0.5 - layers[0], 0, 0.35)
    # What stands out throws its shadow down to the right, on whatever is lower there.
    down, right = round(2.2 * u), round(1.6 * u)
    shadow = np.zeros_like(total)
    shadow[down:, right:] = np.clip(layers[1][:-down, :-right] - layers[1][down:, right:] - 0.04, 0, 0.5)
    factor = 1 + 0.8 * np.clip(slope, -0.75, 0.4) - 0.9 * crease - 0.7 * shadow
    shaded = color * np.clip(factor, 0.2, 1.5)[..., None]
    glint = (0.3 if light.dark else 0.5) * np.clip(np.clip(slope, 0, 0.7) - 0.12, 0, 1)
    return _image(shaded + (1 - shaded) * glint[..., None])


MEDIA: dict[str, Medium] = {
    "vectorart": vectorart,
    "comic": comic,
    "pen_ink": pen_ink,
    "graphite": graphite,
    "watercolor": watercolor,
    "oilpaint": oilpaint,
    "3d_graphics": solids,
}


def _floats(image: Image.Image) -> Floats:
    return np.asarray(image).astype(np.float32) * np.float32(1 / 255)


def _image(values: Floats) -> Image.Image:
    return Image.fromarray((np.clip(values, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8))


def _luminance(color: Floats) -> Floats:
    return color @ np.array((0.299, 0.587, 0.114), np.float32)


def _paper(shape: tuple[int, ...], rng: random.Random) -> Floats:
    return textures.cut(textures.paper(), shape, rng)


def _blurred(image: Image.Image, size: float) -> Floats:
    """A float image blurred over about `size` pixels, without the steps that 8 bits would leave."""
    pitch = max(1.0, size / 2)
    small = (max(3, round(image.width / pitch)), max(3, round(image.height / pitch)))
    grid = np.pad(np.asarray(image.resize(small, Image.Resampling.BOX)), 2, mode="edge")
    for _ in range(2):
        grid = 0.25 * grid[:-2] + 0.5 * grid[1:-1] + 0.25 * grid[2:]
        grid = 0.25 * grid[:, :-2] + 0.5 * grid[:, 1:-1] + 0.25 * grid[:, 2:]
    return np.asarray(Image.fromarray(grid).resize(image.size, Image.Resampling.BICUBIC))


def _taken(source: NDArray[np.uint8], dy: NDArray[np.generic], dx: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Each pixel from the place `dy`, `dx` away, cut at the picture's edge."""
    height, width = source.shape[:2]
    rows = np.clip(np.arange(height, dtype=np.int32)[:, None] + dy.astype(np.int32), 0, height - 1)
    columns = np.clip(np.arange(width, dtype=np.int32)[None, :] + dx.astype(np.int32), 0, width - 1)
    # One 32-bit number a pixel: taking those is several times as fast as taking rows of three bytes.
    padded = np.dstack([source, source[..., :1]]).view(np.uint32).ravel()
    taken: NDArray[np.uint8] = padded.take(rows * width + columns).view(np.uint8).reshape(height, width, 4)
    return taken[..., :3]


def _rim(shape: tuple[int, ...], rng: random.Random) -> Floats:
    """1 where the paper is painted, falling to 0 towards an uneven edge."""
    height, width = shape
    y, x = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    edge = np.minimum(np.minimum(y, height - 1 - y)[:, None], np.minimum(x, width - 1 - x)[None, :])
    uneven = 2.2 * textures.cut(textures.noise(9, seed=14), shape, rng)
    rim: Floats = np.clip((edge + uneven - rng.uniform(6, 16)) / 3, 0, 1)
    return rim


def _panel(image: Image.Image, light: Light, rng: random.Random) -> Image.Image:
    """A comic panel: a frame, and a white gutter by day, a black one by night."""
    gutter = rng.choice((0, 0, 10, 16))
    frame = 4
    if not gutter:
        return image
    paper, ink = ((18, 15, 24), (120, 116, 128)) if light.dark else ((250, 248, 240), (16, 12, 22))
    page = Image.new("RGB", image.size, paper)
    page.paste(ink, (gutter, gutter, image.width - gutter, image.height - gutter))
    inner = (gutter + frame, gutter + frame, image.width - gutter - frame, image.height - gutter - frame)
    page.paste(image.crop(inner), inner)
    return page
