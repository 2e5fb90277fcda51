"""Land and what stands on it: hills, a lake, grass, stones, fences, graves, lanterns of pumpkin, eyes in the dark."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np

from bamkit.sample.painter.canvas import Canvas, Color, Local, Points, darker, lighter, mix
from bamkit.sample.painter.light import Light


def ridge(canvas: Canvas, base: float, swing: float, rng: random.Random, waves: float = 1.5) -> Points:
    """A wavy line across the picture (and a little beyond), shape (n, 2), y around `base`."""
    x = np.linspace(-0.1, 1.1, 49)
    y = np.zeros_like(x)
    for k in range(1, 4):
        y += np.sin(2 * math.pi * (waves * k * x * rng.uniform(0.7, 1.2) + rng.random())) / k**1.4
    return np.stack([x * canvas.width, base + swing * y], axis=1)


def _below(canvas: Canvas, line: Points) -> Points:
    corners = [(1.1 * canvas.width, 1.1 * canvas.height), (-0.1 * canvas.width, 1.1 * canvas.height)]
    return np.concatenate([line, corners])


def hills(canvas: Canvas, light: Light, horizon: float, rng: random.Random) -> None:
    """Two rows of hills, the farther one in the haze."""
    for i in range(2):
        base = horizon + (0.02 + 0.05 * i - 0.05) * canvas.height
        swing = rng.uniform(0.02, 0.055) * canvas.height
        line = ridge(canvas, base, swing, rng, rng.uniform(0.8, 1.6))
        canvas.shape(_below(canvas, line), light.land[i], line=0.6, bump=0.45)


def ground(canvas: Canvas, light: Light, horizon: float, rng: random.Random) -> None:
    """The meadow in two tones, the near one in front."""
    far = ridge(canvas, horizon + 0.06 * canvas.height, 0.008 * canvas.height, rng, 0.8)
    canvas.shape(_below(canvas, far), light.land[2], line=0.6, bump=0.45)
    near = ridge(canvas, horizon + (1 - horizon / canvas.height) * 0.5 * canvas.height, 0.02 * canvas.height, rng, 0.6)
    canvas.shape(_below(canvas, near), light.land[3], line=0.0, bump=0.3)


def path(canvas: Canvas, light: Light, horizon: float, rng: random.Random) -> None:
    """A path that winds from the front to the horizon."""
    top, bottom = horizon + 0.07 * canvas.height, canvas.height * 1.04
    start, goal = rng.uniform(0.25, 0.75) * canvas.width, rng.uniform(0.35, 0.65) * canvas.width
    left, right = [], []
    for i in range(9):
        t = i / 8
        y = top + (bottom - top) * t
        x = goal + (start - goal) * t + math.sin(t * 5 + goal) * 0.06 * canvas.width * (0.3 + t)
        half = (0.012 + 0.11 * t**1.4) * canvas.width
        left.append((x - half, y))
        right.append((x + half, y))
    sand = mix(light.land[3], light((226, 200, 150)), 0.35 if light.dark else 0.75)
    canvas.shape(left + right[::-1], sand, line=0.4, bump=0.2)


def lake(canvas: Canvas, light: Light, horizon: float, disc_x: float, rng: random.Random) -> None:
    """Still water from the horizon to the near shore, with the light of the disc on it."""
    top, bottom = horizon + 0.015 * canvas.height, horizon + (0.3 * (canvas.height - horizon)) + 0.06 * canvas.height
    steps = 6
    for i in range(steps):
        y = top + (bottom - top) * i / steps
        color = mix(mix(light.water, light.horizon, 0.45), light.water, i / (steps - 1))
        corners = [(-0.1, y), (1.1, y), (1.1, bottom + 9), (-0.1, bottom + 9)]
        canvas.shape([(x * canvas.width, yy) for x, yy in corners], color, line=0.0, bump=0.0)
    glint = mix(light.disc, light.water, 0.15)
    for i in range(13):
        t = (i + 0.5) / 13
        y = top + (bottom - top) * t
        half = (0.012 + 0.05 * t) * canvas.width * rng.uniform(0.4, 1.1)
        x = disc_x + rng.uniform(-0.4, 0.4) * half
        canvas.line(
            [(x - half, y), (x + half, y)], mix(glint, light.water, 0.1 + 0.4 * t), (0.22 + 0.5 * t) * canvas.unit
        )
    for _ in range(9):
        x, t = rng.uniform(0, canvas.width), rng.random()
        half, y = rng.uniform(0.02, 0.08) * canvas.width, top + (bottom - top) * t
        canvas.line([(x - half, y), (x + half, y)], mix(light.water, light.horizon, 0.35), 0.25 * canvas.unit)
    line = ridge(canvas, bottom, 0.012 * canvas.height, rng, 0.7)
    canvas.shape(_below(canvas, line), light.land[2], line=0.6, bump=0.4)
    line = ridge(canvas, bottom + 0.05 * canvas.height, 0.016 * canvas.height, rng, 0.6)
    canvas.shape(_below(canvas, line), light.land[3], line=0.0, bump=0.3)


def boat(p: Local, light: Light, rng: random.Random) -> None:
    """A sailing boat of height 1."""
    sail = light(rng.choice(((255, 252, 244), (244, 120, 90), (250, 214, 110))), 0.25)
    p.line([(0, -0.08), (0, -1.0)], light((110, 80, 60), 0.3), 0.03)
    p.blob([(0.03, -0.98), (0.3, -0.5), (0.5, -0.16), (0.03, -0.16)], sail)
    p.poly([(-0.04, -0.86), (-0.3, -0.16), (-0.04, -0.16)], mix(sail, light((190, 190, 200)), 0.25))
    p.poly([(-0.46, -0.1), (0.56, -0.1), (0.38, 0.1), (-0.3, 0.1)], light((142, 78, 58), 0.25))


def tuft(p: Local, light: Light, color: Color, rng: random.Random) -> None:
    """A tuft of grass of height about 1."""
    for _ in range(4):
        x, lean = rng.uniform(-0.3, 0.3), rng.uniform(-0.5, 0.5)
        p.poly([(x - 0.08, 0.02), (x + lean, -rng.uniform(0.5, 1.0)), (x + 0.08, 0.02)], color, line=0.0, bump=0.0)


def reeds(p: Local, light: Light, rng: random.Random) -> None:
    """Reeds with their brown heads, height about 1."""
    for _ in range(5):
        x, lean, top = rng.uniform(-0.25, 0.25), rng.uniform(-0.12, 0.12), rng.uniform(0.6, 1.0)
        p.curve([(x, 0), (x + lean * 0.4, -top * 0.5), (x + lean, -top)], light((118, 140, 84)), 0.025)
        p.oval(x + lean, -top, 0.035, 0.1, light((128, 84, 54)), line=0.4)
        p.poly([(x - 0.03, 0), (x - lean * 2, -top * 0.6), (x + 0.03, 0)], light((132, 158, 96)), line=0, bump=0)


def stone(p: Local, light: Light, rng: random.Random) -> None:
    """A boulder of width 1."""
    color = light(rng.choice(((158, 156, 150), (140, 136, 138), (170, 160, 146))))
    p.blob([(-0.5, 0.02), (-0.42, -0.26), (-0.1, -0.42), (0.28, -0.36), (0.5, -0.08), (0.44, 0.06)], color)
    p.blob([(-0.38, -0.2), (-0.1, -0.36), (0.14, -0.32), (-0.1, -0.24)], lighter(color, 0.25), 0, 0)


def fence(canvas: Canvas, light: Light, y: float, height: float, rng: random.Random) -> None:
    """A fence across the picture: white pickets by day, crooked iron bars by night."""
    color = light((246, 244, 238)) if not light.dark else mix((14, 13, 20), light.land[0], 0.25)
    for rail in (0.35, 0.72):
        sag = height * (0.04 if light.dark else 0)
        canvas.line(
            [
                (-20, y - height * rail),
                (canvas.width * 0.5, y - height * rail + sag),
                (canvas.width + 20, y - height * rail),
            ],
            color,
            height * 0.11,
            line=0.6,
        )
    step = height * 0.55
    for i in range(int(canvas.width / step) + 2):
        if rng.random() < (0.14 if light.dark else 0.0):
            continue
        p = canvas.at(i * step, y, height, angle=rng.gauss(0, 0.06 if light.dark else 0.008))
        wide = 0.05 if light.dark else 0.12
        p.poly([(-wide, 0), (-wide, -0.88), (0, -1.06), (wide, -0.88), (wide, 0)], color, line=0.6)


def grave(p: Local, light: Light, rng: random.Random) -> None:
    """A leaning gravestone or cross of height 1."""
    color = mix(light((168, 168, 172)), light.land[0], 0.2)
    lean = p.part(0, 0.03, angle=rng.gauss(0, 0.12))
    if rng.random() < 0.35:
        lean.poly(
            [
                (-0.09, 0),
                (-0.09, -0.55),
                (-0.36, -0.55),
                (-0.36, -0.73),
                (-0.09, -0.73),
                (-0.09, -1),
                (0.09, -1),
                (0.09, -0.73),
                (0.36, -0.73),
                (0.36, -0.55),
                (0.09, -0.55),
                (0.09, 0),
            ],
            color,
        )
        return
    lean.blob(
        [(-0.36, 0.04), (-0.37, -0.4), (-0.34, -0.78), (0, -1), (0.34, -0.78), (0.37, -0.4), (0.36, 0.04), (0, 0.05)],
        color,
    )
    for y, w in ((-0.66, 0.18), (-0.52, 0.22), (-0.38, 0.15)):
        lean.line([(-w, y), (w, y)], darker(color, 0.4), 0.045)
    lean.line([(0.36, -0.5), (0.22, -0.28), (0.3, -0.1)], darker(color, 0.5), 0.02)


def pumpkin(p: Local, light: Light, rng: random.Random) -> None:
    """A lantern cut from a pumpkin, width 1, lit from within."""
    rind = mix((206, 92, 16), light((206, 92, 16)), 0.6)
    p.glow(0, -0.36, 1.3, (255, 150, 30), 0.35)
    p.curve([(0, -0.7), (0.03, -0.84), (0.12, -0.9)], light((110, 130, 60)), 0.09)
    for x in (-0.27, 0.27, 0):
        p.oval(x, -0.36, 0.26, 0.36, mix(rind, (120, 44, 8), 0.25 if x else 0), line=0.7)
    shine = (255, 226, 110)
    for side in (-1, 1):
        p.poly([(0.1 * side, -0.42), (0.34 * side, -0.42), (0.22 * side, -0.6)], shine, line=0, bump=0)
    p.poly(
        [
            (-0.34, -0.28),
            (-0.2, -0.22),
            (-0.12, -0.28),
            (0, -0.21),
            (0.12, -0.28),
            (0.2, -0.22),
            (0.34, -0.28),
            (0.2, -0.09),
            (0.06, -0.12),
            (0, -0.06),
            (-0.06, -0.12),
            (-0.2, -0.09),
        ],
        shine,
        line=0,
        bump=0,
    )


def eyes(p: Local, rng: random.Random) -> None:
    """A pair of eyes that shine in the dark, width 1."""
    color = rng.choice(((255, 220, 60), (255, 80, 50), (190, 255, 90), (250, 250, 220)))
    p.glow(0, 0, 1.0, color, 0.35)
    for side in (-1, 1):
        p.blob([(0.08 * side, 0.05), (0.3 * side, -0.2), (0.52 * side, -0.08), (0.32 * side, 0.14)], color, 0, 0)
        p.oval(0.3 * side, -0.02, 0.05, 0.13, (10, 8, 12), line=0, bump=0)


def web(canvas: Canvas, light: Light, right: bool) -> None:
    """A spider's web in an upper corner."""
    p = canvas.at(canvas.width if right else 0, 0, 26 * canvas.unit, flip=right)
    color = mix(light.disc, light.sky[1], 0.35)
    turns = [math.pi / 2 * i / 5 for i in range(6)]
    for turn in turns:
        p.line([(0, 0), (math.cos(turn), math.sin(turn))], color, 0.008)
    for r in (0.3, 0.5, 0.7, 0.9):
        points = []
        for a, b in pairwise(turns):
            points += [
                (r * math.cos(a), r * math.sin(a)),
                (0.88 * r * math.cos((a + b) / 2), 0.88 * r * math.sin((a + b) / 2)),
            ]
        p.line([*points, (0, r)], color, 0.007)


def puddle(p: Local, light: Light) -> None:
    """A puddle of width 2."""
    p.oval(0, 0, 1, 0.2, mix(light.horizon, light.water, 0.3), line=0.3, bump=0)
    p.oval(0.2, -0.02, 0.45, 0.07, lighter(light.horizon, 0.3), line=0, bump=0)
