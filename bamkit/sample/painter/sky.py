"""Sky and weather: sun and moon, clouds, balloons and bats, stars, rain and mist."""

from __future__ import annotations

import math
import random

from bamkit.sample.painter.canvas import Canvas, Color, Local, darker, lighter, mix
from bamkit.sample.painter.light import Light

GAY: tuple[Color, ...] = (
    (240, 72, 66), (255, 160, 28), (255, 214, 48), (66, 188, 92), (46, 156, 232), (160, 92, 220), (248, 108, 172),
)  # fmt: skip


def sky(canvas: Canvas, light: Light, horizon: float, rng: random.Random) -> None:
    """The gradient, and stars where it is night."""
    canvas.backdrop(-canvas.height * 0.05, horizon, light.sky)
    if light.dark:
        for _ in range(26):
            x, y = rng.uniform(0, canvas.width), rng.uniform(0, horizon * 0.7)
            size = rng.uniform(0.12, 0.42) * canvas.unit
            canvas.glow(x, y, size * 3, size * 3, light.disc, 0.25)
            canvas.at(x, y, size).oval(0, 0, 1, color=mix(light.disc, light.sky[0], 0.15), line=0, bump=0)


def disc(canvas: Canvas, light: Light, x: float, y: float, r: float, rng: random.Random) -> None:
    """The sun with its rays, or the moon with its seas, in its glow."""
    p = canvas.at(x, y, r)
    if light.mood == "gloomy":
        p.glow(0, 0, 3.2, light.disc, 0.55)
        return
    p.glow(0, 0, rng.uniform(3, 5) if light.dark else 4.5, lighter(light.disc, 0.1), 0.45 if light.dark else 0.6)
    if light.mood == "happy":
        turn, count = rng.uniform(0, 1), rng.choice((10, 12, 16))
        for i in range(count):
            ray = p.part(0, 0, angle=2 * math.pi * (i + turn) / count)
            long = 1.85 if i % 2 else 1.6
            ray.poly([(1.18, -0.13), (long, 0), (1.18, 0.13)], lighter(light.disc, 0.25), line=0.5, bump=0.5)
    grow = rng.uniform(0.8, 1.35) if light.dark else 1.0
    p.oval(0, 0, grow, color=light.disc, line=0.8)
    if light.dark:
        sea = mix(light.disc, light.sky[1], 0.22)
        for cx, cy, cr in ((-0.35, -0.3, 0.26), (0.3, 0.15, 0.34), (-0.2, 0.55, 0.16), (0.45, -0.5, 0.13)):
            p.oval(cx * grow, cy * grow, cr, cr * 0.9, sea, line=0, bump=0)
    else:
        p.oval(-0.18, -0.18, 0.72, color=lighter(light.disc, 0.35), line=0, bump=0)


def cloud(p: Local, light: Light, rng: random.Random) -> None:
    """A heap of round puffs on a flat base, about 2 wide; a torn streak at night and in the evening."""
    white = {"happy": (255, 255, 255), "peaceful": lighter(light.horizon, 0.45)}.get(light.mood, light.sky[1])
    if light.mood in ("scary", "peaceful"):
        color = mix(light.sky[0], light.sky[1], 0.65) if light.dark else white
        for i in range(3):
            w, y = rng.uniform(0.7, 1.5), (i - 1) * 0.17
            x = rng.uniform(-0.4, 0.4)
            top = [(x - w, y), (x - w * 0.4, y - 0.11), (x + w * 0.3, y - 0.13), (x + w, y)]
            p.blob([*top, (x + w * 0.4, y + 0.08), (x - w * 0.5, y + 0.09)], color, line=0, bump=0.3)
        return
    color = mix(light.sky[1], light.sky[0], 0.5) if light.mood == "gloomy" else white
    puffs = [(-0.62, -0.16, 0.3), (-0.22, -0.36, 0.42), (0.28, -0.3, 0.38), (0.68, -0.14, 0.28)]
    puffs = [(x + rng.uniform(-0.08, 0.08), y, r * rng.uniform(0.88, 1.12)) for x, y, r in puffs]
    base = [(-0.95, -0.2), (0.95, -0.2), (0.98, -0.04), (0.85, 0.04), (-0.85, 0.04), (-0.98, -0.04)]
    # Twice: first with outlines, then without, so that no line runs through the heap.
    for line in (0.8, 0.0):
        for x, y, r in puffs:
            p.oval(x, y, r, color=color, line=line, bump=0.5 if line else 0.35)
        p.poly(base, color, line=line, bump=0.4 if line else 0.3)
    shade = mix(color, light.sky[0], 0.16)
    p.blob([(-0.85, -0.03), (-0.3, -0.12), (0.3, -0.07), (0.85, -0.03), (0.8, 0.04), (-0.8, 0.04)], shade, 0, 0)


def balloon(p: Local, color: Color, light: Light, rng: random.Random) -> None:
    """A toy balloon of height 1 with its string below."""
    p.curve([(0, 0.62), (0.06, 0.9), (-0.05, 1.2), (0.04, 1.55)], light(mix(color, (90, 90, 90), 0.5)), 0.022)
    p.poly([(-0.07, 0.66), (0, 0.56), (0.07, 0.66)], light(darker(color)))
    egg = [(0, -0.52), (0.36, -0.36), (0.42, 0), (0.24, 0.38), (0, 0.58), (-0.24, 0.38), (-0.42, 0), (-0.36, -0.36)]
    p.blob(egg, light(color))
    p.oval(-0.15, -0.22, 0.08, 0.15, light(lighter(color, 0.6)), angle=0.4, line=0, bump=0)


def airship(p: Local, light: Light, rng: random.Random) -> None:
    """A hot-air balloon of height about 2, striped."""
    colors = rng.sample(GAY, 2)
    first, second = (light(color, 0.15) for color in colors)
    p.line([(-0.3, 0.62), (-0.15, 1.05)], light((90, 70, 50)), 0.025)
    p.line([(0.3, 0.62), (0.15, 1.05)], light((90, 70, 50)), 0.025)
    whole = [(0, -0.75), (0.5, -0.58), (0.72, -0.1), (0.55, 0.35), (0.28, 0.7)]
    p.blob(whole + [(-x, y) for x, y in reversed(whole[1:])], first)
    p.blob([(0, -0.74), (0.3, -0.5), (0.4, -0.05), (0.3, 0.4), (0.14, 0.68), (0.02, 0.3), (0.05, -0.3)], second, 0, 0)
    p.blob([(-0.02, -0.74), (-0.5, -0.5), (-0.68, -0.05), (-0.5, 0.38), (-0.3, 0.62), (-0.42, 0)], second, 0, 0)
    p.blob([(-0.3, -0.5), (-0.16, -0.56), (-0.28, -0.1), (-0.42, -0.1)], lighter(first, 0.5), 0, 0)
    p.poly([(-0.16, 1.02), (0.16, 1.02), (0.13, 1.26), (-0.13, 1.26)], light((178, 120, 62)))


def kite(p: Local, light: Light, rng: random.Random) -> None:
    """A kite with a tail of bows."""
    a, b = (light(color) for color in rng.sample(GAY, 2))
    p.curve([(0, 0.5), (0.12, 0.8), (-0.08, 1.1), (0.1, 1.5)], a, 0.03)
    p.poly([(0, -0.6), (0.36, -0.08), (0, 0.55)], a)
    p.poly([(0, -0.6), (-0.36, -0.08), (0, 0.55)], b)
    for y in (0.8, 1.1, 1.4):
        p.poly([(-0.1, y - 0.06), (0.1, y + 0.06), (0.1, y - 0.06), (-0.1, y + 0.06)], b, line=0.4)


def butterfly(p: Local, light: Light, rng: random.Random) -> None:
    """A butterfly of width 1."""
    color = light(rng.choice(GAY))
    for side in (-1, 1):
        p.oval(0.26 * side, -0.14, 0.26, 0.2, color, angle=-0.6 * side, line=0.6)
        p.oval(0.2 * side, 0.16, 0.18, 0.15, lighter(color, 0.3), angle=0.5 * side, line=0.6)
    p.oval(0, 0, 0.045, 0.26, light((50, 40, 40)), line=0)


def bat(p: Local, light: Light, rng: random.Random) -> None:
    """A bat of width 2, seen against the sky."""
    color = mix((8, 6, 14), light.sky[0], 0.35)
    lift = rng.uniform(-0.3, 0.15)
    wing = [(0.08, -0.12), (0.45, -0.3 + lift), (1.0, -0.22 + lift), (0.86, 0.12 + lift / 2)]
    wing += [(0.66, 0.02 + lift / 2), (0.5, 0.22), (0.32, 0.06), (0.12, 0.24)]
    p.poly([(-x, y) for x, y in wing], color, line=0.4)
    p.poly(wing, color, line=0.4)
    p.oval(0, 0.03, 0.13, 0.22, color, line=0)
    p.poly([(-0.12, -0.12), (-0.1, -0.36), (0, -0.16), (0.1, -0.36), (0.12, -0.12)], color, line=0)
    for x in (-0.05, 0.05):
        p.oval(x, -0.1, 0.028, color=(250, 214, 90), line=0, bump=0)


def rain(canvas: Canvas, light: Light, rng: random.Random, amount: float) -> None:
    """Slanting streaks over the whole picture."""
    color = mix(light.disc, light.sky[0], 0.25 if light.dark else 0.1)
    for _ in range(round(70 * amount)):
        x, y = rng.uniform(-0.05, 1.1) * canvas.width, rng.uniform(-0.05, 1.0) * canvas.height
        long = rng.uniform(3, 8) * canvas.unit
        canvas.line(
            [(x, y), (x - long * 0.28, y + long)], mix(color, light.sky[1], rng.uniform(0.1, 0.6)), 0.22 * canvas.unit
        )


def mist(canvas: Canvas, light: Light, horizon: float, rng: random.Random, amount: float) -> None:
    """Bands of mist around and below the horizon."""
    color = mix(light.horizon, light.disc, 0.12)
    for i in range(3):
        middle = horizon + (rng.uniform(-0.12, 0.05) + 0.14 * i) * canvas.height
        half = rng.uniform(0.06, 0.13) * canvas.height
        canvas.veil(middle - half, middle + half, color, amount * rng.uniform(0.5, 0.9), rng.random())
