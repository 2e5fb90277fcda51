"""The seven media: how a canvas becomes a picture."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageEnhance, ImageFilter

from bamkit.curate.sample.painter import raster, textures
from bamkit.curate.sample.painter.canvas import Canvas
from bamkit.curate.sample.painter.light import Light

Floats = NDArray[np.float32]
Medium = Callable[[Canvas, Light, random.Random], Image.Image]


def vectorart(canvas: Canvas, light: Light, rng: random.Random) -> Image.Image:
    """Flat shapes with clean edges."""
    return raster.flat(canvas)


def comic(canvas: Canvas, light: Light, rng: random.Random) -> Image.Image:
    """Strong colours, black outlines, halftone dots in the shade, a white gutter around the panel."""
    image = ImageEnhance.Color(raster.flat(canvas, (16, 12, 22), 0.34 * canvas.unit)).enhance(1.25)
    color = _floats(image)
    shade = 1 - _luminance(color)
    screen = textures.cut(textures.dots(), *shade.shape, rng)
    amount = np.clip((shade * 0.95 - screen) * 4 + 0.5, 0, 1)[..., None]
    color *= 1 - (0.34 if light.mood != "happy" else 0.22) * amount
    return _panel(_image(color), rng)


def pen_ink(canvas: Canvas, light: Light, rng: random.Random) -> Image.Image:
    """Ink lines and hatching on paper, half of the time over a thin wash of colour."""
    tone = raster.flat(canvas)
    color = _floats(tone)
    lines = _floats(_wavy(raster.outlines(canvas, 0.28 * canvas.unit), rng, 1.3))
    hatch = textures.cut(textures.hatching(), *lines.shape, rng)
    dark = 0.0 if light.dark else 0.1
    ink = np.clip((hatch - _luminance(color) * 0.95 - dark) * 7 + 0.35, 0, 1)
    ink = np.maximum(ink, 1 - lines)
    wash = rng.choice((0.0, 0.4, 0.6)) if not light.dark else rng.choice((0.25, 0.55))
    sheet = np.array((0.975, 0.95, 0.89) if light.mood != "gloomy" else (0.9, 0.9, 0.88), np.float32)
    ground = sheet * (1 - wash + wash * np.sqrt(color)) + 0.012 * _paper(lines.shape, rng)[..., None]
    pen = np.array((0.07, 0.06, 0.1) if rng.random() < 0.7 else (0.2, 0.12, 0.07), np.float32)
    return _image(ground + (pen - ground) * ink[..., None])


def graphite(canvas: Canvas, light: Light, rng: random.Random) -> Image.Image:
    """Grey pencil: soft outlines, slanting strokes, the tooth of the paper."""
    tone = _luminance(_floats(raster.flat(canvas).filter(ImageFilter.GaussianBlur(1.2))))
    lines = 1 - _floats(_wavy(raster.outlines(canvas, 0.26 * canvas.unit, 30), rng, 1.1))
    strokes = textures.cut(textures.pencil(), *tone.shape, rng)
    lead = np.clip(1 - tone, 0, 1)
    lead = lead * np.clip(0.86 + 0.24 * strokes, 0.25, 1.25) + 0.62 * lines * np.clip(0.9 + 0.15 * strokes, 0.5, 1.2)
    sheet = 0.965 + 0.01 * _paper(tone.shape, rng)
    grey = np.clip(sheet - 0.9 * np.clip(lead, 0, 1), 0.05, 1)
    return _image(np.stack([grey, grey * 0.995, grey * 0.975], axis=-1))


def watercolor(canvas: Canvas, light: Light, rng: random.Random) -> Image.Image:
    """Soft washes that pool at their edges, on rough paper with an unpainted rim."""
    image = _wavy(raster.flat(canvas), rng, 2.6)
    color = _floats(image.filter(ImageFilter.GaussianBlur(1.1)))
    soft = _floats(image.filter(ImageFilter.GaussianBlur(5)))
    # Pigment gathers where a wash ends: darken where a place is darker than its surroundings.
    color += 0.75 * np.minimum(color - soft, 0)
    shape = color.shape[:2]
    pools = textures.cut(textures.noise(34, seed=12), *shape, rng)
    grain = _paper(shape, rng)
    strength = (0.9 if light.dark else 0.76) + 0.09 * pools + 0.03 * grain
    rim = _rim(shape, rng)
    sheet = np.array((0.985, 0.975, 0.95), np.float32)
    return _image(sheet - (sheet - color) * (strength * rim)[..., None] + 0.012 * grain[..., None])


def oilpaint(canvas: Canvas, light: Light, rng: random.Random) -> Image.Image:
    """Brush strokes, broad ones for the ground and small ones where there is detail, with the relief of paint."""
    image = raster.flat(canvas)
    source = np.asarray(image)
    broad = _stroked(source, rng, *textures.strokes(30.0, 10.0))
    fine = _stroked(source, rng, *textures.strokes(12.0, 4.5))
    detail = ImageChops.difference(image, image.filter(ImageFilter.GaussianBlur(6))).convert("L")
    mask = detail.filter(ImageFilter.MaxFilter(5)).point(lambda v: min(255, max(0, (v - 9) * 16)))
    painted = Image.composite(_image(fine), _image(broad), mask)
    return ImageEnhance.Color(painted).enhance(1.08)


def solids(canvas: Canvas, light: Light, rng: random.Random) -> Image.Image:
    """Rounded solids as if modelled in clay: light from the upper left, soft shade, highlights."""
    color = _floats(raster.flat(canvas))
    height = raster.relief(canvas, 0.5 * canvas.unit)
    total = np.zeros(color.shape[:2], np.float32)
    for radius, weight in ((0.5, 0.55), (1.5, 1.2), (4.2, 2.2)):
        total += weight * _floats(height.filter(ImageFilter.GaussianBlur(radius * canvas.unit)))
    near = _floats(height.filter(ImageFilter.GaussianBlur(1.0 * canvas.unit)))
    slope = np.zeros_like(total)
    slope[1:, 1:] = (total[1:, 1:] - total[:-1, 1:]) * 0.8 + (total[1:, 1:] - total[1:, :-1]) * 0.6
    slope *= canvas.unit * 1.15
    shine = np.clip(slope, 0, 0.6)
    crease = np.clip(0.5 - near, 0, 0.35)
    shaded = color * np.clip(1 + 0.75 * np.clip(slope, -0.7, 0.5) - 0.9 * crease, 0.25, 1.5)[..., None]
    glint = (0.25 if light.dark else 0.42) * np.clip(shine - 0.1, 0, 1)
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
    return textures.cut(textures.paper(), shape[0], shape[1], rng)


def _wavy(image: Image.Image, rng: random.Random, amount: float) -> Image.Image:
    """The picture with its edges moved by up to some pixels, as a hand does."""
    height, width = image.height, image.width
    tile = textures.noise(11, seed=13)
    dy = textures.cut(tile, height, width, rng) * amount
    dx = textures.cut(tile, height, width, rng) * amount
    return Image.fromarray(_taken(np.asarray(image), dy, dx))


def _stroked(
    source: NDArray[np.uint8], rng: random.Random, dy: NDArray[np.int16], dx: NDArray[np.int16], paint: Floats
) -> Floats:
    height, width = source.shape[:2]
    place = rng.random()
    cuts = [textures.cut(tile, height, width, random.Random(place)) for tile in (dy, dx, paint)]
    return _taken(source, cuts[0], cuts[1]).astype(np.float32) * (cuts[2] * np.float32(1 / 255))[..., None]


def _taken(source: NDArray[np.uint8], dy: NDArray[np.generic], dx: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Each pixel from the place `dy`, `dx` away, cut at the picture's edge."""
    height, width = source.shape[:2]
    rows = np.clip(np.arange(height, dtype=np.int32)[:, None] + dy.astype(np.int32), 0, height - 1)
    columns = np.clip(np.arange(width, dtype=np.int32)[None, :] + dx.astype(np.int32), 0, width - 1)
    where = rows * width + columns
    return source.reshape(height * width, *source.shape[2:]).take(where, axis=0)


def _rim(shape: tuple[int, ...], rng: random.Random) -> Floats:
    """1 where the paper is painted, falling to 0 towards an uneven edge."""
    height, width = shape
    y, x = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    edge = np.minimum(np.minimum(y, height - 1 - y)[:, None], np.minimum(x, width - 1 - x)[None, :])
    uneven = 5 * textures.cut(textures.noise(14, seed=14), height, width, rng)
    return np.clip((edge + uneven - rng.uniform(4, 15)) / 3, 0, 1)


def _panel(image: Image.Image, rng: random.Random) -> Image.Image:
    """A comic panel: black frame, white gutter."""
    gutter = rng.choice((0, 10, 14, 18))
    frame = 4
    if not gutter:
        return image
    page = Image.new("RGB", image.size, (250, 248, 240))
    page.paste((16, 12, 22), (gutter, gutter, image.width - gutter, image.height - gutter))
    inner = (gutter + frame, gutter + frame, image.width - gutter - frame, image.height - gutter - frame)
    page.paste(image.crop(inner), inner)
    return page
