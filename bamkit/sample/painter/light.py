"""Light and palette of a mood: the sky, the sun or moon, and what the air does to the colour of things."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from bamkit.sample.painter.canvas import Color, mix, rgb


@dataclass(frozen=True)
class Light:
    """How a scene is lit. Calling it gives the colour of a thing as seen at a distance of 0 (near) to 1 (horizon)."""

    name: str
    mood: str
    sky: tuple[Color, ...]
    """From the zenith to the horizon."""
    land: tuple[Color, ...]
    """From the farthest hills to the ground in front, already lit."""
    disc: Color
    """The sun or the moon."""
    ambient: tuple[float, float, float]
    """Factors for red, green and blue."""
    saturation: float
    haze: float
    """How much of the horizon's colour far things take on."""
    water: Color
    intensity: float = 0.5

    def __call__(self, color: Color, depth: float = 0.0) -> Color:
        grey = 0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2]
        lit = tuple(
            min(255, max(0, round((grey + (value - grey) * self.saturation) * factor)))
            for value, factor in zip(color, self.ambient, strict=True)
        )
        return mix(lit, self.sky[-1], depth * self.haze)  # type: ignore[arg-type]

    @property
    def dark(self) -> bool:
        return self.mood == "scary"

    @property
    def horizon(self) -> Color:
        return self.sky[-1]


# For each mood, the commoner ones first: name, sky from zenith to horizon, land from the hills to the front, disc and
# water, ambient factors in percent, saturation, haze.
Row = tuple[str, str, str, str, str, float, float]
_ROWS: dict[str, tuple[Row, ...]] = {
    "happy": (
        ("noon", "2f9bf0 86d0fb def4ff", "a9dcae 7fcf6e 5fbf4e 86d84f", "ffe14d 58b8ee", "104 103 99", 1.2, 0.45),
        ("morning", "ffc65c ffe2a0 fff5d6", "e2dc8a b4d65f 8cc94a a5db4a", "ff9b3d f7cf85", "106 100 90", 1.18, 0.4),
        ("candy", "5fd0ea b5ecf2 ffe6ef", "ffc9dc b7e6a5 86d67c 9be36a", "ffd75e 8adbe8", "104 103 99", 1.2, 0.4),
        ("summer", "10a9d6 69dbe6 fdf8d3", "9fdcae f2d25a e9c046 8fcf38", "fff0a0 35b9d8", "106 102 94", 1.22, 0.4),
        ("spring", "79c4f8 c3e8ff fffbe6", "c0e6b2 a0dc7c 79cc5a a8e05c", "ffe569 86cdf5", "104 103 99", 1.15, 0.45),
    ),
    "scary": (
        ("moonlight", "060a1c 14204a 3c4c7e", "26325a 182042 0f1630 0a0f20", "eef0d6 1b2a58", "36 42 62", 0.62, 0.45),
        ("violet", "0a0618 29174a 6a4382", "3b2556 24163c 160d29 0d081b", "f6e9ff 33205c", "42 34 58", 0.6, 0.45),
        ("poison", "050f0d 10332b 54733f", "274431 16302a 0c1f1b 071412", "e6f2b4 1d4034", "34 46 36", 0.58, 0.45),
        ("blood", "12050a 480d16 a8301f", "4c1118 2e0b12 1b070d 100509", "f6c998 571019", "50 29 30", 0.6, 0.4),
    ),
    "gloomy": (
        ("fog", "9aa1a6 b6bbbd cdd0ce", "b4b9b7 9ca29f 868c88 767c77", "dcdfdd a4acaf", "72 74 75", 0.3, 0.75),
        ("rain", "4a5662 727e88 9aa3a8", "808b90 68747a 566166 49534f", "aeb6ba 66737c", "60 65 70", 0.35, 0.6),
        ("drizzle", "77716a 9b9489 bdb5a6", "a59d90 8b8477 746d61 645d51", "c9c1b2 8d867b", "72 69 64", 0.32, 0.65),
        ("lead", "555a67 828793 a7a8ae", "8d9098 747883 60656f 52565c", "b9bbc0 737985", "64 66 72", 0.3, 0.6),
    ),
    "peaceful": (
        ("dawn", "a4c3e6 f0d5d6 fdecd6", "cdbccb abb9bd 95b69a 88ae86", "fff3d6 c0d3e4", "98 95 94", 0.72, 0.6),
        ("dusk", "7678b4 d2a2c2 fbd0ab", "a78fb2 857fa3 6b7a8f 5d7280", "ffe8c4 b495b8", "86 78 84", 0.72, 0.55),
        ("mint", "b7e0da e0f2ea fbf8ea", "c3ddd0 acd2bc 94c3a2 86b992", "fffbe8 b5dcd8", "98 100 97", 0.68, 0.6),
        ("evening", "e6a468 f5cb93 fbe7c4", "d9b083 bfa070 a3935f 8f8853", "fff6dc eabf88", "100 90 76", 0.75, 0.55),
    ),
    "": (
        ("overcast", "c6d3dc d9e2e8 ebeff1", "c3cac4 aeb8a8 9ca892 929e86", "f4f4ee b4c4cd", "93 93 93", 0.78, 0.4),
        ("studio", "dcd6ca e4dfd4 ebe7de", "d6cfc1 cbc3b3 c0b7a5 b6ac99", "f7f4ec c5c2b8", "95 94 92", 0.8, 0.3),
        ("blueprint", "c3cdd6 ccd5dc d6dde2", "b4c0c9 a6b3bd 9aa8b3 8e9da8", "f0f3f5 aebcc6", "92 94 96", 0.75, 0.3),
    ),
}  # fmt: skip


def _light(mood: str, row: Row) -> Light:
    name, sky, land, others, ambient, saturation, haze = row
    disc, water = map(rgb, others.split())
    skies, lands = tuple(map(rgb, sky.split())), tuple(map(rgb, land.split()))
    red, green, blue = (int(percent) / 100 for percent in ambient.split())
    return Light(name, mood, skies, lands, disc, (red, green, blue), saturation, haze, water)


LIGHTS: dict[str, tuple[Light, ...]] = {mood: tuple(_light(mood, row) for row in rows) for mood, rows in _ROWS.items()}


def light_of(mood: str, intensity: float, rng: random.Random, jitter: random.Random) -> Light:
    """One of the mood's lights, the first ones more often, stronger with `intensity`.

    `jitter` shifts it a little, so that near-duplicates are not the same picture.
    """
    lights = LIGHTS[mood]
    chosen = rng.choices(lights, range(len(lights) + 2, 2, -1))[0]
    strength = {"scary": 1.38 - 0.4 * intensity, "happy": 0.97 + 0.06 * intensity}.get(mood, 1.0)
    ambient = tuple(factor * strength * jitter.uniform(0.98, 1.02) for factor in chosen.ambient)
    saturation = chosen.saturation * (0.92 + 0.16 * intensity if mood == "happy" else 1.0)
    return replace(chosen, ambient=ambient, saturation=saturation, intensity=intensity)  # type: ignore[arg-type]
