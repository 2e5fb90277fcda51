"""Paints a scene of the sample: the same picture for the same mid on every call."""

from __future__ import annotations

import random

from PIL import Image, ImageDraw

from bamkit.curate.sample.truth import Scene, truth

SKIES = {
    "happy": ((90, 180, 250), (240, 250, 255), (120, 200, 70)),
    "scary": ((10, 14, 40), (50, 55, 85), (18, 24, 26)),
    "gloomy": ((110, 116, 124), (165, 168, 172), (90, 96, 92)),
    "peaceful": ((180, 200, 235), (255, 225, 205), (140, 180, 150)),
    "": ((225, 222, 215), (240, 238, 232), (200, 196, 186)),
}


def paint(mid: int, seed: int = 0) -> Image.Image:
    """The picture of a mid as an RGB image."""
    return paint_scene(truth(mid, seed))


def paint_scene(scene: Scene) -> Image.Image:
    """The picture of a scene as an RGB image of `scene.width` x `scene.height`."""
    rng = random.Random(scene.layout)
    w, h = scene.width * 2, scene.height * 2
    top, bottom, ground = SKIES[scene.mood]
    sky = Image.new("RGB", (1, 2))
    sky.putpixel((0, 0), top)
    sky.putpixel((0, 1), bottom)
    image = sky.resize((w, h), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    horizon = h * rng.uniform(0.5, 0.7)
    x, y, r = w * rng.uniform(0.1, 0.9), h * rng.uniform(0.1, 0.3), min(w, h) * 0.1
    draw.ellipse((x - r, y - r, x + r, y + r), (255, 220, 90) if scene.mood == "happy" else (235, 235, 215))
    draw.rectangle((0, horizon, w, h), ground)
    jitter = random.Random(scene.variation)
    for name in scene.contents:
        cx, cy = w * rng.uniform(0.2, 0.8) + jitter.uniform(-9, 9), h * rng.uniform(0.65, 0.85)
        s = min(w, h) * rng.uniform(0.15, 0.25)
        shade = random.Random(name).choices(range(40, 230), k=3)
        color = tuple(v // 3 if scene.mood == "scary" else v for v in shade)
        draw.polygon([(cx - s, cy), (cx + s, cy), (cx, cy - 2 * s)], color)
    return image.reduce(2)
