"""Houses, cars and bicycles."""

from __future__ import annotations

import math
import random

from bamkit.sample.painter.canvas import Color, Local, darker, lighter, mix
from bamkit.sample.painter.light import Light

WALLS: tuple[Color, ...] = (
    (250, 236, 208),
    (244, 190, 140),
    (232, 130, 110),
    (160, 206, 220),
    (246, 214, 110),
    (240, 240, 236),
)
ROOFS: tuple[Color, ...] = ((206, 82, 62), (150, 82, 70), (88, 108, 142), (118, 92, 84), (70, 132, 128))
PAINTS: tuple[Color, ...] = (
    (228, 58, 56),
    (250, 190, 40),
    (54, 144, 214),
    (76, 178, 128),
    (244, 140, 60),
    (236, 232, 222),
)
LAMP: Color = (255, 216, 110)


def house(p: Local, light: Light, rng: random.Random, depth: float = 0.0) -> None:
    """A house of height 1: a cottage, a row in a town, or a castle; crooked at night, with lit windows."""
    kind = rng.choice(("cottage", "cottage", "town", "castle", "tower"))
    {"cottage": _cottage, "town": _town, "castle": _castle, "tower": _tower}[kind](p, light, rng, depth)


def _wall(light: Light, rng: random.Random, depth: float) -> tuple[Color, Color]:
    wall, roof = rng.choice(WALLS), rng.choice(ROOFS)
    if light.mood in ("gloomy", "peaceful", ""):
        wall, roof = mix(wall, (180, 176, 170), 0.4), mix(roof, (110, 106, 104), 0.3)
    if light.dark:
        wall, roof = mix(wall, (96, 90, 110), 0.75), mix(roof, (46, 40, 56), 0.75)
    return light(wall, depth), light(roof, depth)


def _window(p: Local, x: float, y: float, w: float, h: float, light: Light, rng: random.Random, depth: float) -> None:
    chance = rng.random()
    lit = (light.dark and chance < 0.55) or (light.mood in ("gloomy", "peaceful") and chance < 0.3)
    glass = mix(LAMP, light.horizon, depth * light.haze * 0.5) if lit else light((150, 200, 226), depth)
    if light.dark and not lit:
        glass = (14, 12, 22)
    frame = light((250, 246, 238), depth) if not light.dark else light((120, 110, 110), depth)
    if lit:
        p.glow(x, y, w * 2.2, LAMP, 0.5)
    p.poly(
        [
            (x - w / 2 - 0.012, y - h / 2 - 0.012),
            (x + w / 2 + 0.012, y - h / 2 - 0.012),
            (x + w / 2 + 0.012, y + h / 2 + 0.012),
            (x - w / 2 - 0.012, y + h / 2 + 0.012),
        ],
        frame,
        line=0.7,
        bump=0.6,
    )
    p.poly(
        [(x - w / 2, y - h / 2), (x + w / 2, y - h / 2), (x + w / 2, y + h / 2), (x - w / 2, y + h / 2)],
        glass,
        line=0,
        bump=0,
    )
    p.line([(x, y - h / 2), (x, y + h / 2)], frame, 0.012)
    p.line([(x - w / 2, y), (x + w / 2, y)], frame, 0.012)


def _door(p: Local, x: float, w: float, h: float, light: Light, rng: random.Random, depth: float) -> None:
    color = light(rng.choice(((150, 82, 52), (72, 120, 110), (190, 70, 60), (90, 100, 150))), depth)
    p.blob(
        [
            (x - w / 2, 0),
            (x - w / 2, -h * 0.6),
            (x - w * 0.3, -h * 0.95),
            (x, -h),
            (x + w * 0.3, -h * 0.95),
            (x + w / 2, -h * 0.6),
            (x + w / 2, 0),
            (x, 0.0),
        ],
        color,
    )
    p.oval(x + w * 0.28, -h * 0.45, 0.012, color=light((250, 210, 90), depth), line=0, bump=0)


def _cottage(p: Local, light: Light, rng: random.Random, depth: float) -> None:
    wall, roof = _wall(light, rng, depth)
    lean = rng.uniform(-0.06, 0.06) if light.dark else 0.0
    peak = 0.1 if light.dark else 0.0
    p.poly([(0.2, -0.6), (0.2, -0.94), (0.31, -0.94), (0.31, -0.55)], darker(wall, 0.2))
    if light.mood in ("peaceful", "happy", "gloomy"):
        for i in range(3):
            p.oval(
                0.28 + 0.07 * i,
                -1.02 - 0.1 * i,
                0.05 + 0.02 * i,
                color=mix(light.horizon, light.sky[1], 0.3),
                line=0,
                bump=0.4,
            )
    p.poly([(-0.44, 0.01), (-0.44 + lean, -0.5), (0.44 + lean, -0.5), (0.44, 0.01)], wall)
    p.poly([(0.18, 0.01), (0.18 + lean, -0.5), (0.44 + lean, -0.5), (0.44, 0.01)], darker(wall, 0.1), line=0, bump=0)
    p.poly([(-0.56 + lean, -0.46), (-0.2 + lean, -0.86 - peak), (0.2 + lean, -0.86 - peak), (0.56 + lean, -0.46)], roof)
    for i in range(3):
        y = -0.56 - 0.1 * i
        p.line([(-0.46 + 0.09 * i + lean, y), (0.46 - 0.09 * i + lean, y)], darker(roof, 0.18), 0.012)
    _door(p, 0.0, 0.15, 0.33, light, rng, depth)
    for x in (-0.27, 0.28):
        _window(p, x + lean / 2, -0.27, 0.14, 0.16, light, rng, depth)
    _window(p, lean, -0.62, 0.11, 0.11, light, rng, depth)


def _town(p: Local, light: Light, rng: random.Random, depth: float) -> None:
    x = -0.66
    while x < 0.5:
        w, h = rng.uniform(0.28, 0.4), rng.uniform(0.5, 0.76)
        wall, roof = _wall(light, rng, depth)
        p.poly([(x, 0.01), (x, -h), (x + w, -h), (x + w, 0.01)], wall)
        top = h + rng.uniform(0.16, 0.25) + (0.08 if light.dark else 0)
        if rng.random() < 0.6:
            p.poly([(x - 0.02, -h), (x + w / 2, -top), (x + w + 0.02, -h)], roof)
        else:
            steps = [
                (x, -h),
                (x, -h - 0.06),
                (x + w * 0.2, -h - 0.06),
                (x + w * 0.2, -h - 0.13),
                (x + w * 0.36, -h - 0.13),
                (x + w * 0.36, -h - 0.2),
            ]
            p.poly(steps + [(2 * x + w - sx, sy) for sx, sy in reversed(steps)], roof)
        for row in range(int((h - 0.1) / 0.18)):
            for column in (0.3, 0.7):
                if row or column > 0.5:
                    _window(p, x + w * column, -0.13 - 0.18 * row, w * 0.22, 0.1, light, rng, depth)
        _door(p, x + w * 0.3, w * 0.26, 0.18, light, rng, depth)
        x += w


def _castle(p: Local, light: Light, rng: random.Random, depth: float) -> None:
    wall, roof = _wall(light, rng, depth)

    def tower(x: float, w: float, h: float, cone: float) -> None:
        p.poly([(x - w, 0.01), (x - w, -h), (x + w, -h), (x + w, 0.01)], wall)
        p.poly([(x + w * 0.3, 0.01), (x + w * 0.3, -h), (x + w, -h), (x + w, 0.01)], darker(wall, 0.12), line=0, bump=0)
        p.poly([(x - w * 1.35, -h + 0.01), (x, -h - cone), (x + w * 1.35, -h + 0.01)], roof)
        _window(p, x, -h + 0.13, w * 0.55, 0.1, light, rng, depth)
        if light.mood == "happy":
            p.line([(x, -h - cone), (x, -h - cone - 0.09)], light((110, 90, 80), depth), 0.01)
            p.poly(
                [(x, -h - cone - 0.09), (x + 0.1, -h - cone - 0.065), (x, -h - cone - 0.04)],
                light(rng.choice(PAINTS), depth),
                line=0.5,
            )

    tower(-0.16, 0.1, 0.66, 0.24)
    tower(0.2, 0.085, 0.56, 0.2)
    top = [(-0.46, -0.36)]
    for i in range(8):
        x = -0.46 + 0.115 * i
        top += [(x, -0.43), (x + 0.06, -0.43), (x + 0.06, -0.37), (x + 0.115, -0.37)]
    p.poly([(-0.46, 0.01), *top, (0.46, 0.01)], wall)
    for x in (-0.3, 0.3):
        _window(p, x, -0.22, 0.07, 0.12, light, rng, depth)
    tower(-0.5, 0.11, 0.5, 0.26)
    tower(0.5, 0.11, 0.46, 0.24)
    _door(p, 0, 0.2, 0.28, light, rng, depth)


def _tower(p: Local, light: Light, rng: random.Random, depth: float) -> None:
    """A lighthouse, or a mill by another sky."""
    wall, roof = _wall(light, rng, depth)
    stripe = roof if not light.dark else darker(wall, 0.3)
    p.poly([(-0.19, 0.01), (-0.12, -0.74), (0.12, -0.74), (0.19, 0.01)], wall)
    for i in (0, 2):
        a, b = i * 0.19 + 0.08, i * 0.19 + 0.24
        wa, wb = 0.19 - 0.07 * a / 0.74, 0.19 - 0.07 * b / 0.74
        p.poly([(-wa, -a), (-wb, -b), (wb, -b), (wa, -a)], stripe, line=0, bump=0)
    if light.dark or light.mood in ("gloomy", "peaceful"):
        p.glow(0, -0.81, 0.45, LAMP, 0.75)
    p.poly([(-0.15, -0.74), (0.15, -0.74), (0.15, -0.77), (-0.15, -0.77)], darker(roof, 0.3))
    p.poly(
        [(-0.08, -0.77), (-0.08, -0.87), (0.08, -0.87), (0.08, -0.77)],
        LAMP if light.mood != "happy" else light((190, 226, 240), depth),
    )
    p.poly([(-0.12, -0.87), (0, -1.0), (0.12, -0.87)], roof)
    _door(p, 0, 0.11, 0.2, light, rng, depth)
    for x, y in ((-0.03, -0.36), (0.03, -0.58)):
        _window(p, x, y, 0.055, 0.085, light, rng, depth)
    p.poly([(0.15, 0.01), (0.16, -0.22), (0.48, -0.22), (0.48, 0.01)], darker(wall, 0.08))
    p.poly([(0.11, -0.21), (0.2, -0.36), (0.44, -0.36), (0.53, -0.21)], roof)
    _window(p, 0.33, -0.11, 0.09, 0.09, light, rng, depth)


def car(p: Local, light: Light, rng: random.Random, depth: float = 0.0) -> None:
    """A car in profile, 2 long and about 0.9 high."""
    kind = rng.choice(("beetle", "van", "sedan"))
    coat = rng.choice(PAINTS)
    if light.mood != "happy":
        coat = mix(coat, (120, 118, 120), 0.35 if not light.dark else 0.5)
    body = light(coat, depth)
    glass = light((176, 214, 232), depth) if not light.dark else (18, 20, 34)
    p.glow(0, 0.02, 1.15, darker(light.land[3], 0.7), 0.6, flat=0.12)
    if kind == "van":
        p.blob(
            [
                (-0.95, -0.14),
                (-0.96, -0.6),
                (-0.9, -0.84),
                (-0.5, -0.9),
                (0.4, -0.9),
                (0.72, -0.8),
                (0.92, -0.48),
                (0.97, -0.16),
                (0, -0.12),
            ],
            body,
        )
        p.poly([(-0.97, -0.46), (0.95, -0.46), (0.96, -0.36), (-0.97, -0.36)], lighter(body, 0.45), line=0, bump=0)
        panes = [
            [(-0.84, -0.78), (-0.48, -0.8), (-0.48, -0.54), (-0.84, -0.54)],
            [(-0.4, -0.8), (-0.02, -0.8), (-0.02, -0.54), (-0.4, -0.54)],
            [(0.06, -0.8), (0.42, -0.8), (0.42, -0.54), (0.06, -0.54)],
            [(0.5, -0.79), (0.66, -0.75), (0.8, -0.54), (0.5, -0.54)],
        ]
    elif kind == "beetle":
        p.blob(
            [
                (-0.98, -0.14),
                (-0.92, -0.4),
                (-0.66, -0.55),
                (-0.4, -0.8),
                (0, -0.88),
                (0.34, -0.76),
                (0.52, -0.52),
                (0.86, -0.44),
                (0.98, -0.16),
                (0, -0.12),
            ],
            body,
        )
        panes = [
            [(-0.42, -0.52), (-0.32, -0.7), (-0.06, -0.77), (-0.06, -0.52)],
            [(0.02, -0.52), (0.02, -0.77), (0.24, -0.7), (0.4, -0.52)],
        ]
    else:
        p.blob(
            [
                (-0.98, -0.14),
                (-0.97, -0.44),
                (-0.6, -0.5),
                (-0.42, -0.78),
                (0.22, -0.78),
                (0.46, -0.52),
                (0.92, -0.42),
                (0.99, -0.16),
                (0, -0.12),
            ],
            body,
        )
        panes = [
            [(-0.5, -0.5), (-0.36, -0.7), (-0.1, -0.7), (-0.1, -0.5)],
            [(-0.03, -0.5), (-0.03, -0.7), (0.18, -0.7), (0.34, -0.5)],
        ]
    for pane in panes:
        p.poly(pane, glass, line=0.8, bump=0.2)
        (x0, y0), (x1, y1) = pane[0], pane[1]
        p.line(
            [((x0 + x1) / 2 + 0.05, min(y0, y1) + 0.07), ((x0 + x1) / 2 - 0.0, min(y0, y1) + 0.17)],
            lighter(glass, 0.6),
            0.02,
        )
    p.line([(-0.9, -0.28), (0.9, -0.28)], darker(body, 0.18), 0.02)
    p.line([(0.0, -0.48), (0.0, -0.16)], darker(body, 0.18), 0.014)
    p.line([(-0.99, -0.16), (-0.8, -0.16)], light((220, 220, 224), depth), 0.05)
    p.line([(0.8, -0.16), (1.0, -0.16)], light((220, 220, 224), depth), 0.05)
    for x in (-0.58, 0.58):
        _tyre(p, x, light, depth)
    _lights(p, light)
    if light.mood == "happy":
        _luggage(p, light, rng)


def _tyre(p: Local, x: float, light: Light, depth: float) -> None:
    p.oval(x, -0.17, 0.2, color=light((44, 42, 50), depth))
    p.oval(x, -0.17, 0.11, color=light((206, 208, 214), depth), line=0.6)
    p.oval(x, -0.17, 0.04, color=light((120, 122, 130), depth), line=0, bump=0.4)


def _lights(p: Local, light: Light) -> None:
    if light.dark or light.mood == "gloomy":
        p.glow(1.5, -0.26, 0.95, (255, 240, 180), 0.55, flat=0.4)
        p.glow(0.93, -0.34, 0.3, (255, 244, 190), 0.9)
    p.oval(
        0.92,
        -0.34,
        0.06,
        0.07,
        (255, 246, 200) if light.mood in ("scary", "gloomy") else light((255, 246, 214)),
        line=0.6,
    )
    p.oval(-0.95, -0.34, 0.035, 0.06, (250, 50, 40) if light.dark else light((220, 60, 50)), line=0.5)


def _luggage(p: Local, light: Light, rng: random.Random) -> None:
    x = -0.34
    for w, h in ((0.34, 0.16), (0.24, 0.22)):
        color = light(rng.choice(((176, 120, 70), (230, 90, 80), (80, 150, 180), (240, 190, 80))))
        p.poly([(x, -0.86), (x, -0.86 - h), (x + w, -0.86 - h), (x + w, -0.86)], color)
        x += w + 0.03


def bicycle(p: Local, light: Light, rng: random.Random, depth: float = 0.0) -> None:
    """A bicycle in profile, about 1.6 long and 1 high."""
    coat = rng.choice(PAINTS[:5])
    if light.mood != "happy":
        coat = mix(coat, (110, 110, 116), 0.35)
    frame = light(coat, depth) if not light.dark else mix(light(coat), light.horizon, 0.25)
    rim = light((62, 60, 68), depth) if not light.dark else mix((14, 12, 20), light.horizon, 0.22)
    spoke = mix(rim, light.horizon, 0.35)
    p.glow(0, 0.0, 0.95, darker(light.land[3], 0.7), 0.5, flat=0.08)
    bent = light.dark and rng.random() < 0.3
    for x in (-0.48, 0.48):
        wheel = p.part(x, -0.32)
        for i in range(8):
            turn = math.pi * i / 8 + 0.2
            wheel.line(
                [(-0.3 * math.cos(turn), -0.3 * math.sin(turn)), (0.3 * math.cos(turn), 0.3 * math.sin(turn))],
                spoke,
                0.009,
            )
        squash = 0.86 if bent and x > 0 else 1.0
        ring = [(0.31 * math.cos(a * math.pi / 10), 0.31 * squash * math.sin(a * math.pi / 10)) for a in range(21)]
        wheel.curve(ring, rim, 0.038, line=0.5)
        wheel.oval(0, 0, 0.035, color=rim, line=0.4)
    back, crank, seat, fork, front = (-0.48, -0.32), (-0.1, -0.3), (-0.22, -0.76), (0.34, -0.78), (0.48, -0.32)
    for points in (
        [back, crank, fork],
        [back, seat, crank],
        [(-0.19, -0.66), (0.31, -0.7)],
        [(0.32, -0.86), (0.34, -0.74), front],
    ):
        p.line(points, frame, 0.042, line=0.5)
    leather = light((96, 62, 44), depth)
    p.blob([(-0.36, -0.8), (-0.22, -0.84), (-0.08, -0.79), (-0.2, -0.75)], leather)
    p.curve([(0.2, -0.9), (0.3, -0.88), (0.4, -0.92), (0.42, -0.84)], rim, 0.034, line=0.5)
    p.oval(-0.1, -0.3, 0.06, color=lighter(rim, 0.25), line=0.6)
    p.line([(-0.18, -0.2), (-0.02, -0.4)], rim, 0.026)
    if light.mood in ("happy", "peaceful"):
        wicker = light((206, 160, 96), depth)
        p.poly([(0.4, -0.84), (0.72, -0.84), (0.67, -0.6), (0.45, -0.6)], wicker)
        for y in (-0.78, -0.71):
            p.line([(0.42, y), (0.7, y)], darker(wicker, 0.2), 0.014)
    if light.dark or light.mood == "gloomy":
        p.glow(0.52, -0.76, 0.3, (255, 240, 170), 0.7)
        p.oval(0.46, -0.76, 0.035, color=(255, 244, 190), line=0, bump=0)
