"""Paints a scene of the sample: the same picture for the same mid on every call."""

from __future__ import annotations

import random

from PIL import Image

from bamkit.sample.painter.compose import compose
from bamkit.sample.painter.light import light_of
from bamkit.sample.painter.media import MEDIA
from bamkit.sample.truth import Scene, truth


def paint(mid: int, seed: int = 0) -> Image.Image:
    """The picture of a mid as an RGB image."""
    return paint_scene(truth(mid, seed))


def paint_scene(scene: Scene) -> Image.Image:
    """The picture of a scene as an RGB image of `scene.width` x `scene.height`.

    Scenes that differ only in `moods` share their composition; scenes that differ only in `medium`, their shapes.
    """
    jitter = random.Random(scene.variation)
    light = light_of(scene.mood, scene.intensity, random.Random(f"{scene.layout}/light"), jitter)
    canvas = compose(scene, light, jitter)
    return MEDIA[scene.medium](canvas, light, random.Random(f"{scene.layout}/medium"))
