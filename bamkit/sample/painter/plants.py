"""Flowers and trees."""

from __future__ import annotations

import math
import random

from bamkit.sample.painter.canvas import Color, Local, darker, lighter, mix
from bamkit.sample.painter.light import Light

PETALS: tuple[Color, ...] = (
    (238, 62, 72), (255, 138, 40), (255, 206, 52), (250, 250, 246), (244, 116, 176), (152, 102, 222), (84, 138, 240),
)  # fmt: skip
KINDS = ("daisy", "tulip", "sunflower", "poppy", "bell")


def flower(p: Local, light: Light, rng: random.Random, depth: float = 0.0) -> None:
    """One flower of height 1 on its stem; at night it droops and has lost its colour."""
    kind, color = rng.choice(KINDS), rng.choice(PETALS)
    lean = rng.uniform(-0.16, 0.16)
    if kind == "sunflower":
        color = (255, 196, 36)
    green = light((72, 150, 62), depth)
    wilted = light.dark
    if wilted:
        color = mix(color, (90, 66, 70), 0.45)
        side = 1 if lean >= 0 else -1
        stem = [(0, 0), (lean * 0.4, -0.45), (lean, -0.78), (lean + 0.12 * side, -0.84), (lean + 0.24 * side, -0.7)]
        head = p.part(lean + 0.25 * side, -0.66, angle=2.2 * side)
    else:
        stem = [(0, 0), (lean * 0.3, -0.4), (lean, -0.8)]
        head = p.part(lean, -0.82, angle=lean * 1.2)
    p.curve(stem, green, 0.034, line=0.6)
    for side, y in ((1, -0.28), (-1, -0.42)):
        x = lean * 0.25
        leaf = [(x, y), (x + 0.1 * side, y - 0.13), (x + 0.27 * side, y - 0.14), (x + 0.15 * side, y + 0.0)]
        p.blob(leaf, lighter(green, 0.08), line=0.7)
    _bloom(head, kind, light(color, depth), light, depth, rng)


def _bloom(p: Local, kind: str, color: Color, light: Light, depth: float, rng: random.Random) -> None:
    heart = light((250, 190, 40) if kind != "sunflower" else (104, 62, 30), depth)
    if kind == "tulip":
        cup = [
            (0, 0.06),
            (0.15, -0.02),
            (0.17, -0.2),
            (0.09, -0.14),
            (0, -0.26),
            (-0.09, -0.14),
            (-0.17, -0.2),
            (-0.15, -0.02),
        ]
        p.blob(cup, color)
        p.blob([(0, 0.04), (0.07, -0.06), (0, -0.24), (-0.07, -0.06)], lighter(color, 0.2), line=0.5)
    elif kind == "bell":
        for side in (-1, 1, 0):
            bell = p.part(0.11 * side, -0.02 - 0.04 * abs(side), angle=0.5 * side)
            bell.blob([(0, -0.14), (0.09, -0.06), (0.11, 0.08), (0, 0.05), (-0.11, 0.08), (-0.09, -0.06)], color)
    else:
        count, long, wide = {"daisy": (9, 0.13, 0.055), "sunflower": (13, 0.15, 0.05), "poppy": (5, 0.12, 0.115)}[kind]
        for i in range(count):
            turn = 2 * math.pi * i / count + 0.2
            shade = color if i % 2 else darker(color, 0.1)
            p.oval(math.cos(turn) * 0.12, math.sin(turn) * 0.12, long, wide, shade, angle=turn, line=0.6)
        p.oval(0, 0, 0.1 if kind == "sunflower" else 0.062, color=heart, line=0.6)
        if kind == "sunflower":
            p.oval(0.01, -0.01, 0.055, color=lighter(heart, 0.15), line=0, bump=0)


def small_flower(p: Local, light: Light, rng: random.Random, depth: float) -> None:
    """A blossom in the grass, width about 1: five petals and a dot."""
    color = rng.choice(PETALS)
    if light.dark:
        color = mix(color, (90, 66, 70), 0.4)
    color = light(color, depth)
    p.line([(0, 0), (0, -0.9)], light((80, 150, 66), depth), 0.12)
    for i in range(5):
        turn = 2 * math.pi * i / 5
        p.oval(0.26 * math.cos(turn), -1.0 + 0.26 * math.sin(turn), 0.25, color=color, line=0.3)
    p.oval(0, -1.0, 0.16, color=light((250, 200, 60), depth), line=0, bump=0)


def bouquet(p: Local, light: Light, rng: random.Random, count: int) -> None:
    """A group of flowers, height 1, width about 1.2: tall ones behind."""
    spots = sorted(((rng.uniform(-0.55, 0.55), rng.uniform(0.6, 1.0)) for _ in range(count)), key=lambda spot: -spot[1])
    for x, tall in spots:
        flower(p.part(x * (0.6 + 0.4 * tall), 0.05 * (1 - tall), tall * 1.05, flip=x < 0), light, rng)


def vase(p: Local, light: Light, rng: random.Random) -> None:
    """Flowers in a vase, height 1."""
    for _ in range(7):
        bend = p.part(rng.uniform(-0.06, 0.06), -0.34, rng.uniform(0.5, 0.72), angle=rng.uniform(-0.5, 0.5))
        flower(bend, light, rng)
    glaze = light(rng.choice(((88, 130, 178), (196, 108, 84), (236, 230, 214), (92, 140, 120))))
    body = [
        (-0.12, -0.42),
        (-0.09, -0.34),
        (-0.2, -0.2),
        (-0.14, 0),
        (0.14, 0),
        (0.2, -0.2),
        (0.09, -0.34),
        (0.12, -0.42),
    ]
    p.blob(body, glaze)
    p.blob([(-0.13, -0.22), (-0.08, -0.26), (-0.09, -0.1), (-0.13, -0.12)], lighter(glaze, 0.4), 0, 0)


def tree(p: Local, light: Light, rng: random.Random, depth: float = 0.0) -> None:
    """A tree of height 1: leafy by day, bare at night."""
    kind = rng.choice(("round", "round", "broad", "pine", "poplar", "birch"))
    seed = rng.random()
    if light.dark or (light.mood == "gloomy" and kind in ("broad", "birch", "round") and seed < 0.7):
        bare_tree(p, light, random.Random(seed), depth)
        return
    greens = {
        "happy": ((92, 178, 62), (122, 196, 60), (60, 164, 92), (246, 150, 178), (250, 182, 60)),
        "peaceful": ((126, 164, 112), (150, 172, 108), (112, 154, 136), (222, 168, 176)),
        "gloomy": ((86, 106, 88), (98, 108, 92), (78, 98, 94)),
    }.get(light.mood, ((112, 150, 96), (128, 152, 92), (100, 142, 112)))
    leaf, bark = light(rng.choice(greens), depth), light((122, 86, 58), depth)
    if kind == "pine":
        pine(p, leaf if leaf[1] >= leaf[0] else light((70, 140, 90), depth), bark)
        return
    if kind == "birch":
        bark = light((236, 232, 224), depth)
    wide = {"poplar": 0.13, "broad": 0.42}.get(kind, 0.3)
    trunk = 0.045 if kind in ("poplar", "birch") else 0.06
    p.poly(
        [
            (-trunk * 1.5, 0.01),
            (-trunk * 0.7, -0.3),
            (-trunk * 0.5, -0.6),
            (trunk * 0.5, -0.6),
            (trunk * 0.7, -0.3),
            (trunk * 1.5, 0.01),
        ],
        bark,
    )
    if kind == "birch":
        for i in range(4):
            p.line([(-trunk * 0.6, -0.1 - 0.1 * i), (trunk * 0.3, -0.1 - 0.1 * i)], light((70, 64, 60), depth), 0.014)
    if kind == "broad":
        for side in (-1, 1):
            p.curve([(0, -0.36), (0.1 * side, -0.5), (0.2 * side, -0.58)], bark, 0.04, line=0.6)
    _crown(p, kind, leaf, wide, rng)
    if light.mood == "happy" and leaf[1] > leaf[0] and rng.random() < 0.5:
        for _ in range(9 if kind != "poplar" else 0):
            turn, r = rng.uniform(0, 6.28), rng.uniform(0.1, 0.8)
            p.oval(
                math.cos(turn) * wide * r,
                -0.64 + math.sin(turn) * 0.24 * r,
                0.024,
                color=light((228, 58, 50), depth),
                line=0.5,
            )


def _crown(p: Local, kind: str, leaf: Color, wide: float, rng: random.Random) -> None:
    if kind == "poplar":
        flame = [(0, -1), (wide * 0.7, -0.72), (wide, -0.42), (wide * 0.6, -0.2), (0, -0.15)]
        p.blob(flame + [(-x, y) for x, y in reversed(flame[1:-1])], leaf)
        p.blob(
            [(wide * 0.1, -0.9), (wide * 0.75, -0.5), (wide * 0.5, -0.24), (wide * 0.1, -0.2)],
            darker(leaf, 0.13),
            0,
            0.3,
        )
        for x, y in ((-0.3, -0.72), (-0.45, -0.5), (-0.1, -0.38)):
            p.oval(x * wide, y, wide * 0.16, 0.055, lighter(leaf, 0.18), angle=0.15, line=0, bump=0.3)
        return
    tall = 0.3
    middle = -0.98 + tall
    count = 7
    puffs = []
    for i in range(count):
        turn = 2 * math.pi * (i + rng.uniform(-0.2, 0.2)) / count
        puffs.append((math.cos(turn) * wide * 0.55, middle + math.sin(turn) * tall * 0.55, rng.uniform(0.48, 0.6)))
    for line in (1.0, 0.0):
        for x, y, r in puffs:
            p.oval(x, y, r * wide, r * tall * 1.05, leaf, line=line, bump=0.8 if line else 0.6)
        p.oval(0, middle, wide * 0.75, tall * 0.75, leaf, line=0, bump=0.6)
    for x, y, r in puffs:
        if y > middle + 0.05:
            p.oval(x + 0.02, y + 0.03, r * wide * 0.7, r * tall * 0.6, darker(leaf, 0.12), line=0, bump=0.3)
        elif x < 0.08:
            p.oval(x - 0.02, y - 0.03, r * wide * 0.55, r * tall * 0.5, lighter(leaf, 0.16), line=0, bump=0.3)


def pine(p: Local, leaf: Color, bark: Color) -> None:
    """A pine of height 1 in four tiers."""
    p.poly([(-0.04, 0.01), (-0.03, -0.3), (0.03, -0.3), (0.04, 0.01)], bark)
    for i, (bottom, top, half) in enumerate(
        ((-0.14, -0.5, 0.27), (-0.34, -0.68, 0.22), (-0.54, -0.85, 0.165), (-0.72, -1.0, 0.11))
    ):
        color = darker(leaf, 0.16 - 0.05 * i)
        p.blob(
            [
                (-half, bottom),
                (-half * 0.4, (bottom + top) / 2),
                (0, top),
                (half * 0.4, (bottom + top) / 2),
                (half, bottom),
                (0, bottom + 0.035),
            ],
            color,
        )
        p.poly(
            [(-half * 0.6, bottom - 0.03), (-0.02, top + 0.06), (-half * 0.15, bottom - 0.02)],
            lighter(color, 0.14),
            0,
            0,
        )


def bare_tree(p: Local, light: Light, rng: random.Random, depth: float = 0.0) -> None:
    """A leafless, twisted tree of height 1."""
    color = light((66, 52, 48), depth * 0.9) if not light.dark else mix((10, 8, 14), light.horizon, 0.08 + 0.4 * depth)
    trunk = [
        (-0.1, 0.02),
        (-0.05, -0.08),
        (-0.055, -0.25),
        (-0.03, -0.42),
        (0.03, -0.42),
        (0.05, -0.22),
        (0.06, -0.07),
        (0.11, 0.02),
    ]
    p.blob(trunk, color, line=0.7)

    def grow(x: float, y: float, angle: float, long: float, wide: float, level: int) -> None:
        bend = angle + rng.uniform(-0.35, 0.35)
        mx, my = x + math.cos(angle) * long * 0.5, y + math.sin(angle) * long * 0.5
        ex, ey = mx + math.cos(bend) * long * 0.5, my + math.sin(bend) * long * 0.5
        p.line([(x, y), (mx, my), (ex, ey)], color, wide, line=0.5 if level > 2 else 0.0)
        if level == 0:
            return
        for turn in (rng.uniform(0.25, 0.7), -rng.uniform(0.25, 0.7)):
            grow(ex, ey, bend + turn, long * rng.uniform(0.66, 0.82), wide * 0.62, level - 1)

    for angle in (-1.57 + rng.uniform(-0.15, 0.15), -2.35, -0.8):
        grow(0, -0.38, angle, 0.2, 0.05, 3)
