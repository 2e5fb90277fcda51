"""Cats, dogs and birds. All stand at (0, 0) and are 1 high."""

from __future__ import annotations

import random

from bamkit.sample.painter.canvas import Color, Local, darker, lighter, mix
from bamkit.sample.painter.light import Light

FURS: tuple[Color, ...] = (
    (232, 146, 62),
    (150, 146, 150),
    (242, 226, 200),
    (78, 70, 78),
    (176, 118, 74),
    (246, 244, 240),
)
EMBER = ((255, 214, 50), (160, 255, 70), (255, 84, 40))


def cat(p: Local, light: Light, rng: random.Random, depth: float = 0.0) -> None:
    """A sitting cat, seen from the front; at night dark, with bristling fur."""
    coat = rng.choice(FURS)
    if light.dark:
        coat = mix(coat, (34, 28, 44), 0.6)
    fur = light(coat, depth)
    side = rng.choice((-1, 1))
    p.curve(
        [(0.2 * side, -0.06), (0.42 * side, -0.1), (0.46 * side, -0.34), (0.36 * side, -0.46)], fur, 0.085, line=0.8
    )
    if light.dark:
        for i in range(7):
            y = -0.12 - 0.065 * i
            for s in (-1, 1):
                p.poly([(0.2 * s, y), (0.33 * s, y - 0.05), (0.2 * s, y - 0.06)], fur, line=0.6)
    p.blob(
        [(-0.26, 0), (-0.27, -0.2), (-0.17, -0.46), (0, -0.58), (0.17, -0.46), (0.27, -0.2), (0.26, 0), (0, 0.02)], fur
    )
    p.blob(
        [(0, -0.05), (0.1, -0.16), (0.09, -0.4), (0, -0.46), (-0.09, -0.4), (-0.1, -0.16)], lighter(fur, 0.28), 0, 0.3
    )
    for s in (-1, 1):
        p.oval(0.1 * s, -0.02, 0.09, 0.05, lighter(fur, 0.14), line=0.8)
    cat_head(p.part(0, -0.68), fur, light, rng)


def cat_head(p: Local, fur: Color, light: Light, rng: random.Random) -> None:
    """A cat's head, about 0.6 wide, its middle at (0, 0)."""
    inner = mix(fur, light((240, 150, 150)), 0.55)
    for s in (-1, 1):
        p.poly([(0.06 * s, -0.2), (0.23 * s, -0.38), (0.28 * s, -0.06)], fur)
        p.poly([(0.12 * s, -0.2), (0.215 * s, -0.31), (0.235 * s, -0.12)], inner, line=0, bump=0)
    p.blob([(0, -0.23), (0.2, -0.18), (0.3, 0), (0.2, 0.18), (0, 0.24), (-0.2, 0.18), (-0.3, 0), (-0.2, -0.18)], fur)
    for x in (-0.06, 0, 0.06):
        p.line([(x, -0.21), (x * 0.8, -0.13)], darker(fur, 0.3), 0.022)
    p.blob([(0, 0.03), (0.12, 0.08), (0.1, 0.18), (0, 0.21), (-0.1, 0.18), (-0.12, 0.08)], lighter(fur, 0.35), 0, 0.3)
    if light.dark:
        ember = rng.choice(EMBER)
        p.glow(0, -0.02, 0.42, ember, 0.3)
        for s in (-1, 1):
            p.blob([(0.04 * s, 0.0), (0.12 * s, -0.09), (0.22 * s, -0.08), (0.14 * s, 0.04)], ember, 0.6, 0)
            p.oval(0.13 * s, -0.025, 0.014, 0.055, (8, 6, 10), line=0, bump=0)
        p.blob([(-0.1, 0.1), (0, 0.08), (0.1, 0.1), (0.06, 0.19), (-0.06, 0.19)], (40, 8, 14), 0.5, 0)
        for s in (-1, 1):
            p.poly([(0.04 * s, 0.095), (0.08 * s, 0.095), (0.06 * s, 0.16)], (244, 240, 226), line=0, bump=0)
    else:
        closed = light.mood == "peaceful" or (light.mood == "happy" and rng.random() < 0.3)
        for s in (-1, 1):
            _eye(p, 0.125 * s, -0.03, 0.052, light, closed)
            p.oval(0.19 * s, 0.08, 0.045, 0.03, mix(fur, light((244, 130, 130)), 0.35), line=0, bump=0)
        _smile(p, 0.11, light)
    p.poly([(-0.035, 0.05), (0.035, 0.05), (0, 0.085)], light((222, 110, 120)), line=0.5, bump=0)
    whisker = mix(fur, (255, 255, 255) if sum(fur) < 500 else (90, 80, 80), 0.55)
    for s in (-1, 1):
        for dy in (-0.02, 0.035):
            p.line([(0.13 * s, 0.1 + dy * 0.5), (0.36 * s, 0.07 + dy * 2)], whisker, 0.008)


def dog(p: Local, light: Light, rng: random.Random, depth: float = 0.0) -> None:
    """A sitting dog, seen from the front, with hanging ears; at night a dark hound with pricked ones."""
    coat = rng.choice(FURS)
    patch = rng.choice(FURS)
    if light.dark:
        coat, patch = mix(coat, (30, 24, 36), 0.65), mix(patch, (24, 18, 30), 0.75)
    fur, spot = light(coat, depth), light(patch, depth)
    side = rng.choice((-1, 1))
    p.curve([(0.22 * side, -0.1), (0.38 * side, -0.2), (0.4 * side, -0.36)], fur, 0.07, line=0.8)
    p.blob(
        [(-0.25, 0), (-0.27, -0.18), (-0.19, -0.44), (0, -0.56), (0.19, -0.44), (0.27, -0.18), (0.25, 0), (0, 0.02)],
        fur,
    )
    p.blob([(0, -0.06), (0.1, -0.2), (0.1, -0.4), (0, -0.48), (-0.1, -0.4), (-0.1, -0.2)], lighter(fur, 0.3), 0, 0.3)
    for s in (-1, 1):
        p.poly([(0.05 * s, -0.3), (0.14 * s, -0.3), (0.15 * s, -0.02), (0.04 * s, -0.02)], fur, line=0.6)
        p.oval(0.1 * s, -0.02, 0.085, 0.05, lighter(fur, 0.12), line=0.8)
    if not light.dark:
        p.curve([(-0.17, -0.46), (0, -0.41), (0.17, -0.46)], light((216, 58, 60), depth), 0.055, line=0.6)
        p.oval(0, -0.39, 0.04, color=light((250, 206, 70), depth), line=0.6)
    dog_head(p.part(0, -0.7), fur, spot, light, rng)


def dog_head(p: Local, fur: Color, spot: Color, light: Light, rng: random.Random) -> None:
    """A dog's head, about 0.6 wide, its middle at (0, 0)."""
    skull = [(0, -0.25), (0.17, -0.2), (0.22, 0), (0.16, 0.18), (0, 0.26), (-0.16, 0.18), (-0.22, 0), (-0.17, -0.2)]
    if light.dark:
        for s in (-1, 1):
            p.poly([(0.05 * s, -0.18), (0.2 * s, -0.4), (0.21 * s, -0.08)], spot)
        p.blob(skull, fur)
    else:
        p.blob(skull, fur)
        for s in (-1, 1):
            p.blob([(0.12 * s, -0.2), (0.26 * s, -0.2), (0.33 * s, 0.02), (0.27 * s, 0.16), (0.2 * s, 0.02)], spot)
        if rng.random() < 0.6:
            p.oval(-0.1, -0.04, 0.085, 0.1, spot, line=0, bump=0.2)
    p.blob(
        [(0, 0.0), (0.13, 0.06), (0.14, 0.18), (0, 0.26), (-0.14, 0.18), (-0.13, 0.06)], lighter(fur, 0.35), 0.5, 0.7
    )
    if light.dark:
        ember = rng.choice(EMBER)
        p.glow(0, -0.06, 0.4, ember, 0.3)
        for s in (-1, 1):
            p.poly([(0.03 * s, -0.02), (0.17 * s, -0.11), (0.14 * s, 0.0)], ember, line=0.6, bump=0)
        p.blob([(-0.11, 0.14), (0, 0.12), (0.11, 0.14), (0.08, 0.24), (-0.08, 0.24)], (46, 8, 14), 0.6, 0)
        for x in (-0.08, -0.03, 0.03, 0.08):
            p.poly([(x - 0.022, 0.135), (x + 0.022, 0.135), (x, 0.2)], (244, 240, 226), line=0, bump=0)
    else:
        for s in (-1, 1):
            _eye(p, 0.1 * s, -0.05, 0.042, light, light.mood == "peaceful")
        if light.mood in ("happy", ""):
            p.blob(
                [(-0.045, 0.17), (0.045, 0.17), (0.045, 0.27), (0, 0.31), (-0.045, 0.27)], light((240, 106, 116)), 0.6
            )
        _smile(p, 0.16, light)
    p.oval(0, 0.07, 0.062, 0.045, light((42, 32, 34)), line=0.5)
    p.oval(-0.015, 0.057, 0.018, 0.011, light((150, 140, 140)), line=0, bump=0)


def bird(p: Local, light: Light, rng: random.Random, depth: float = 0.0) -> None:
    """A plump bird in profile; at night a crow."""
    colors = ((240, 92, 76), (64, 150, 232), (255, 190, 50), (96, 186, 110), (246, 130, 170), (120, 110, 214))
    coat, front = rng.choice(colors), rng.choice(((255, 240, 214), (255, 214, 150), (250, 250, 250)))
    if light.mood in ("peaceful", "gloomy", ""):
        coat = mix(coat, (140, 132, 126), 0.35)
    crow = light.dark
    body = light(coat, depth) if not crow else mix((16, 14, 24), light.horizon, 0.2)
    belly = light(front, depth) if not crow else lighter(body, 0.06)
    leg = light((226, 140, 50) if not crow else (70, 66, 70), depth)
    for x in (-0.06, 0.07):
        p.line([(x, -0.22), (x + 0.01, 0)], leg, 0.022)
        p.line([(x - 0.05, 0.0), (x + 0.07, 0.0)], leg, 0.02)
    p.poly(
        [(-0.28, -0.42), (-0.72, -0.36 if crow else -0.5), (-0.7, -0.24 if crow else -0.36), (-0.22, -0.26)],
        darker(body, 0.15),
    )
    p.blob(
        [
            (-0.38, -0.4),
            (-0.2, -0.62),
            (0.08, -0.68),
            (0.14, -0.9),
            (0.34, -0.98),
            (0.5, -0.84),
            (0.44, -0.6),
            (0.36, -0.34),
            (0.14, -0.18),
            (-0.18, -0.2),
        ],
        body,
    )
    p.blob([(0.4, -0.58), (0.34, -0.34), (0.12, -0.2), (-0.1, -0.22), (0.12, -0.4), (0.3, -0.56)], belly, 0, 0.3)
    p.blob([(0.12, -0.58), (-0.1, -0.6), (-0.5, -0.36), (-0.36, -0.28), (0.0, -0.32)], darker(body, 0.2), 0.8)
    p.line([(-0.32, -0.36), (0.0, -0.46)], darker(body, 0.35), 0.014)
    long = 0.24 if crow else 0.14
    p.poly(
        [(0.45, -0.88), (0.48 + long, -0.8 if crow else -0.79), (0.46, -0.74)],
        light((250, 166, 40), depth) if not crow else (58, 54, 60),
    )
    if crow:
        p.glow(0.33, -0.84, 0.16, (255, 60, 40), 0.5)
        p.oval(0.33, -0.84, 0.042, color=(255, 80, 50), line=0, bump=0)
        p.oval(0.335, -0.84, 0.015, color=(10, 6, 8), line=0, bump=0)
    else:
        p.oval(0.33, -0.84, 0.05, color=(252, 252, 250), line=0.4, bump=0)
        p.oval(0.34, -0.84, 0.03, color=(26, 22, 28), line=0, bump=0)
        p.oval(0.33, -0.853, 0.01, color=(255, 255, 255), line=0, bump=0)
        p.oval(0.3, -0.74, 0.05, 0.035, mix(body, light((250, 120, 120)), 0.4), line=0, bump=0)


def flying(p: Local, light: Light, rng: random.Random) -> None:
    """A bird far off in the sky, width 2."""
    color = mix((58, 62, 84), light.sky[1], 0.25) if not light.dark else (6, 5, 10)
    lift = rng.uniform(0.25, 0.5)
    p.curve([(-1, -lift * 0.6), (-0.5, -lift), (0, 0), (0.5, -lift), (1, -lift * 0.6)], color, 0.13)


def branch(p: Local, light: Light, depth: float = 0.0) -> None:
    """A branch to sit on, from the left edge to beyond (0, 0)."""
    bark = light((112, 78, 54), depth) if not light.dark else mix((12, 10, 16), light.horizon, 0.1)
    p.blob(
        [
            (-4, -0.5),
            (-2, -0.1),
            (0, -0.03),
            (0.7, -0.12),
            (1.25, -0.3),
            (0.7, 0.02),
            (0, 0.12),
            (-2, 0.12),
            (-4, -0.2),
        ],
        bark,
    )
    for x, y, s in ((0.95, -0.2, 1), (-0.9, -0.02, -1), (-1.5, 0.0, 1)):
        p.curve([(x, y), (x + 0.12, y - 0.18 * s), (x + 0.3, y - 0.28 * s)], bark, 0.04, line=0.6)
        if not light.dark and light.mood != "gloomy":
            for dx, dy in ((0.3, -0.3), (0.2, -0.16), (0.38, -0.2)):
                p.oval(x + dx, y + dy * s, 0.12, 0.055, light((120, 180, 80), depth), angle=-0.7 * s, line=0.7)


def _eye(p: Local, x: float, y: float, r: float, light: Light, closed: bool) -> None:
    if closed:
        p.curve([(x - r, y - r * 0.1), (x, y + r * 0.55), (x + r, y - r * 0.1)], light((52, 40, 42)), r * 0.42)
        return
    if light.mood == "gloomy":
        p.oval(x, y, r * 0.75, r * 0.8, (34, 30, 36), line=0, bump=0)
        p.line(
            [(x - r, y - r * (0.8 if x < 0 else 1.5)), (x + r, y - r * (1.5 if x < 0 else 0.8))],
            light((60, 50, 50)),
            r * 0.35,
        )
        return
    p.oval(x, y, r, r * 1.15, (34, 28, 34), line=0, bump=0)
    p.oval(x - r * 0.3, y - r * 0.4, r * 0.38, color=(255, 255, 255), line=0, bump=0)
    p.oval(x + r * 0.35, y + r * 0.4, r * 0.2, color=(220, 220, 226), line=0, bump=0)


def _smile(p: Local, y: float, light: Light) -> None:
    color = light((70, 48, 48))
    lift = {"gloomy": -0.03, "happy": 0.045}.get(light.mood, 0.025)
    for s in (-1, 1):
        p.curve([(0, y - 0.02), (0.045 * s, y + lift), (0.1 * s, y + lift * 0.2)], color, 0.015)
