"""What each picture of the sample shows, drawn from its mid alone: scores, labels and paint all follow from it."""

from __future__ import annotations

import random
from dataclasses import dataclass

PROJECT_BITS = 4
"""mids that differ only in their last four bits belong to one project, as uploads made together do at Behance."""

SERIES_SHARE = 0.22
"""Share of projects whose pictures are near-duplicates: one scene, seen again with small changes."""

# Moods are drawn with these weights; the second of a pair is an emotion that comes along with the first.
MOODS: dict[tuple[str, ...], float] = {
    ("happy",): 0.235,
    ("happy", "peaceful"): 0.10,
    ("scary",): 0.20,
    ("scary", "gloomy"): 0.135,
    ("gloomy",): 0.085,
    ("peaceful",): 0.115,
    (): 0.13,
}

# The confounders of the real study: happy comes with flowers and cats, scary with people, comics and ink. Every
# content and every medium still appears under every mood, so that a network can tell mood from content.
MOOD_ORDER = ("happy", "peaceful", "gloomy", "scary", "")
CONTENT_WEIGHTS: dict[str, tuple[int, int, int, int, int]] = {
    "flower": (30, 17, 5, 7, 12),
    "cat": (17, 8, 4, 8, 9),
    "people": (12, 7, 24, 33, 20),
    "dog": (12, 5, 5, 8, 8),
    "bird": (11, 17, 9, 11, 9),
    "tree": (13, 30, 20, 19, 10),
    "building": (11, 12, 22, 16, 14),
    "bicycle": (9, 5, 6, 5, 9),
    "cars": (7, 3, 10, 7, 12),
}
"""Relative frequency of each content as a subject, for each mood in the order of `MOOD_ORDER`."""
MEDIUM_WEIGHTS: dict[str, tuple[int, int, int, int, int]] = {
    "vectorart": (25, 15, 10, 13, 25),
    "watercolor": (19, 32, 13, 7, 11),
    "oilpaint": (14, 24, 22, 15, 9),
    "comic": (11, 4, 11, 22, 12),
    "graphite": (7, 9, 22, 11, 15),
    "pen_ink": (9, 6, 13, 22, 11),
    "3d_graphics": (15, 10, 9, 10, 17),
}
"""Relative frequency of each medium, likewise."""


@dataclass(frozen=True)
class Scene:
    """All that is true of one picture. Two scenes that differ only in `moods` share their layout."""

    mid: int
    project: int
    """Key of the project: `mid >> PROJECT_BITS`."""
    series: bool
    """Whether the project's other pictures are near-duplicates of this one."""
    moods: tuple[str, ...]
    """None (a neutral picture), one, or two emotions, the leading one first."""
    intensity: float
    """0..1: how strongly the mood is painted, and how high its score tends to be."""
    medium: str
    contents: tuple[str, ...]
    """What is drawn, the main subject first; everything of the nine contents that can be seen is named here."""
    layout: str
    """Seed of the composition: shared by all near-duplicates of a series."""
    variation: str
    """Seed of the small changes that tell this picture from the others of its series."""
    width: int
    height: int

    @property
    def mood(self) -> str:
        """The leading emotion, or '' for a neutral picture."""
        return self.moods[0] if self.moods else ""

    @property
    def attributes(self) -> dict[str, float]:
        """The true attributes under their database names, each with how plainly it shows (0..1)."""
        shown = {f"emotion_{name}": self.intensity * (1.0 if i == 0 else 0.7) for i, name in enumerate(self.moods)}
        shown |= {f"content_{name}": 1.0 if i == 0 else 0.45 for i, name in enumerate(self.contents)}
        shown[f"media_{self.medium}"] = 0.7
        return shown


def truth(mid: int, seed: int = 0) -> Scene:
    """The scene behind a mid: the same on every machine, in any order, without a database."""
    key = mid >> PROJECT_BITS
    project = random.Random(f"{seed}/project/{key}")
    series = project.random() < SERIES_SHARE
    mood, medium, contents, intensity, size = _draw(project)
    layout = f"{seed}/layout/{key}"
    if not series:
        image = random.Random(f"{seed}/image/{mid}")
        own = _draw(image)
        _, _, contents, intensity, size = own
        if image.random() < 0.3:
            mood, contents = own[0], own[2]
        else:
            contents = _contents(image, mood[0] if mood else "")
        if image.random() < 0.2:
            medium = own[1]
        layout = f"{seed}/layout/{mid}"
    return Scene(
        mid, key, series, mood, intensity, medium, contents, layout, f"{seed}/variation/{mid}", size[0], size[1]
    )


def _draw(rng: random.Random) -> tuple[tuple[str, ...], str, tuple[str, ...], float, tuple[int, int]]:
    moods = rng.choices(list(MOODS), list(MOODS.values()))[0]
    leading = moods[0] if moods else ""
    medium = _pick(rng, _weights(MEDIUM_WEIGHTS, leading))
    contents = _contents(rng, leading)
    return moods, medium, contents, rng.betavariate(2.2, 1.6), _size(rng)


def _contents(rng: random.Random, mood: str) -> tuple[str, ...]:
    weights = _weights(CONTENT_WEIGHTS, mood)
    count = rng.choices((0, 1, 2, 3), (2, 52, 36, 10) if mood else (0, 85, 13, 2))[0]
    chosen: list[str] = []
    for _ in range(count):
        name = _pick(rng, weights)
        chosen.append(name)
        del weights[name]
    return tuple(chosen)


def _weights(table: dict[str, tuple[int, int, int, int, int]], mood: str) -> dict[str, int]:
    return {name: row[MOOD_ORDER.index(mood)] for name, row in table.items()}


def _pick(rng: random.Random, weights: dict[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _size(rng: random.Random) -> tuple[int, int]:
    """Most real files are exactly 600 px wide; heights run from 318 to 1,555."""
    width = 600 if rng.random() < 0.83 else rng.choice((404, 480, 520, 560, 630, 640, 700, 808))
    ratio = rng.choices(
        (rng.uniform(0.56, 0.72), rng.uniform(0.72, 0.9), 1.0, rng.uniform(1.1, 1.5), rng.uniform(1.5, 2.59)),
        (30, 32, 14, 22, 2),
    )[0]
    return width, min(1555, max(318, round(width * ratio)))
