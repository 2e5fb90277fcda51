"""People: whole figures 1 high, and heads for portraits."""

from __future__ import annotations

import random
from dataclasses import dataclass

from bamkit.sample.painter.canvas import Color, Local, darker, lighter, mix
from bamkit.sample.painter.light import Light
from bamkit.sample.painter.sky import GAY, balloon

SKINS: tuple[Color, ...] = ((255, 222, 196), (244, 200, 164), (214, 160, 118), (160, 108, 76), (112, 74, 52))
HAIRS: tuple[Color, ...] = ((60, 42, 36), (24, 20, 26), (126, 76, 40), (226, 176, 84), (186, 76, 42), (196, 196, 200))
CLOTHES: tuple[Color, ...] = (
    (232, 76, 70), (250, 172, 46), (62, 158, 216), (72, 176, 116), (150, 98, 200), (244, 122, 160), (64, 92, 150),
)  # fmt: skip
DRAB: tuple[Color, ...] = ((92, 96, 108), (110, 100, 92), (76, 84, 92), (120, 112, 108), (84, 78, 92))
GRIM: tuple[Color, ...] = ((46, 40, 54), (58, 40, 44), (40, 46, 52), (70, 60, 64))


@dataclass(frozen=True)
class Look:
    """Colours of a person, as lit."""

    skin: Color
    hair: Color
    cloth: Color
    legs: Color
    style: str


def look(light: Light, rng: random.Random, depth: float = 0.0) -> Look:
    """A person's colours under a light: pale and drab where the mood is dark."""
    skin, hair, style = rng.choice(SKINS), rng.choice(HAIRS), rng.choice(("short", "long", "bun", "hat", "bob"))
    bright, drab, grim = rng.choice(CLOTHES), rng.choice(DRAB), rng.choice(GRIM)
    legs = rng.choice(((66, 76, 118), (92, 76, 66), (58, 60, 70)))
    if light.dark:
        pallor = mix(skin, (206, 222, 206), 0.72)
        # A face stays visible at night: it is what people fear.
        lit = mix(light(pallor, depth), pallor, 0.42)
        return Look(
            lit,
            light(mix(hair, (10, 8, 14), 0.5), depth),
            light(mix(grim, bright, 0.12), depth),
            light(grim, depth),
            style,
        )
    cloth = drab if light.mood == "gloomy" else mix(bright, (216, 200, 190), 0.35) if light.mood != "happy" else bright
    return Look(light(skin, depth), light(hair, depth), light(cloth, depth), light(legs, depth), style)


def person(p: Local, light: Light, rng: random.Random, depth: float = 0.0) -> None:
    """A figure of height 1: waving or with a balloon by day, under an umbrella in the rain, a spectre at night."""
    who = look(light, rng, depth)
    pose, spare = rng.random(), random.Random(rng.random())
    if light.dark and pose < 0.3:
        ghost(p, light)
        return
    dress = who.style in ("long", "bun", "bob")
    boots = light((60, 46, 44), depth)
    for s in (-1, 1):
        p.poly([(0.02 * s, -0.36), (0.1 * s, -0.36), (0.085 * s, -0.02), (0.025 * s, -0.02)], who.legs, line=0.8)
        p.blob([(0.015 * s, -0.05), (0.09 * s, -0.05), (0.13 * s, 0.0), (0.02 * s, 0.01)], boots, line=0.8)
    raised = {"happy": 1.0, "scary": 0.55}.get(light.mood, 0.0)
    arms(p, who, light, raised, pose)
    hem = 0.19 if dress else 0.125
    coat = [(-0.1, -0.66), (0.1, -0.66), (0.12, -0.5), (hem, -0.25), (0, -0.23), (-hem, -0.25), (-0.12, -0.5)]
    p.blob(coat, who.cloth)
    if light.dark:
        for x in (-0.12, -0.04, 0.05, 0.13):
            p.poly([(x - 0.05, -0.28), (x + 0.05, -0.28), (x + 0.01, -0.12)], who.cloth, line=0.5)
    else:
        p.line([(0, -0.62), (0, -0.27)], darker(who.cloth, 0.2), 0.01)
        for y in (-0.56, -0.46, -0.36):
            p.oval(0.025, y, 0.011, color=lighter(who.cloth, 0.5), line=0, bump=0)
    if light.mood in ("peaceful", "gloomy", ""):
        p.curve([(-0.09, -0.655), (0, -0.63), (0.09, -0.655)], light(spare.choice(CLOTHES), depth), 0.045, line=0.6)
    head(p.part(0, -0.8, 0.42), who, light, spare)
    if light.mood == "happy" and pose < 0.6:
        for i, color in enumerate(spare.sample(GAY, 2 if pose < 0.3 else 1)):
            top = p.part(0.3 + 0.16 * i, -1.12 - 0.1 * i, 0.28)
            p.curve([(0.235, -0.76), (0.28, -0.88), (0.3 + 0.16 * i, -0.98 - 0.1 * i)], light((120, 110, 110)), 0.008)
            balloon(top, color, light, spare)
    elif light.mood == "gloomy" and pose < 0.6:
        umbrella(p, light, spare, depth)


def arms(p: Local, who: Look, light: Light, raised: float, pose: float) -> None:
    """Both arms: hanging, waving, or stretched out with claws."""
    for s in (-1, 1):
        if raised == 0.0 or (light.mood == "happy" and s < 0 and pose < 0.5):
            elbow, hand = (0.155 * s, -0.48), (0.15 * s, -0.34)
        elif light.dark:
            elbow, hand = (0.19 * s, -0.58), (0.3 * s, -0.66)
        else:
            elbow, hand = (0.18 * s, -0.64), (0.235 * s, -0.77)
        p.curve([(0.085 * s, -0.63), elbow, hand], who.cloth, 0.07, line=0.8)
        p.oval(hand[0], hand[1], 0.032, color=who.skin, line=0.7)
        if light.dark:
            for k in (-0.03, 0.0, 0.03):
                p.line([(hand[0], hand[1]), (hand[0] + 0.055 * s, hand[1] - 0.03 + k)], who.skin, 0.014)


def umbrella(p: Local, light: Light, rng: random.Random, depth: float) -> None:
    """An open umbrella held over the figure."""
    color = light(rng.choice(((170, 60, 64), (70, 80, 110), (60, 62, 70), (150, 140, 90))), depth)
    p.line([(0.15, -0.34), (0.15, -1.06)], light((70, 60, 60), depth), 0.016)
    arch = [(-0.22, -0.98), (-0.12, -1.14), (0.15, -1.22), (0.42, -1.14), (0.52, -0.98)]
    scallops = [(0.38, -1.02), (0.28, -0.98), (0.15, -1.02), (0.02, -0.98), (-0.1, -1.02)]
    p.blob(arch + scallops, color)
    p.line([(0.15, -1.22), (0.15, -1.27)], light((70, 60, 60), depth), 0.016)


def ghost(p: Local, light: Light) -> None:
    """A spectre in a sheet, height 1."""
    sheet = mix(light.disc, light.sky[1], 0.22)
    p.glow(0, -0.55, 0.8, light.disc, 0.35)
    outline = [
        (-0.22, -0.02),
        (-0.25, -0.4),
        (-0.2, -0.8),
        (0, -0.98),
        (0.2, -0.8),
        (0.25, -0.4),
        (0.26, -0.06),
        (0.14, -0.12),
        (0.05, 0.0),
        (-0.05, -0.11),
        (-0.13, 0.02),
    ]
    p.blob(outline, sheet)
    for s in (-1, 1):
        p.blob([(0.2 * s, -0.6), (0.36 * s, -0.66), (0.4 * s, -0.54), (0.24 * s, -0.44)], sheet)
        p.oval(0.075 * s, -0.76, 0.045, 0.07, (12, 9, 18), line=0, bump=0)
    p.oval(0, -0.6, 0.04, 0.075, (12, 9, 18), line=0, bump=0)


def bust(p: Local, light: Light, rng: random.Random) -> None:
    """Head and shoulders, height 1."""
    who = look(light, rng)
    pose = random.Random(rng.random())
    hooded = light.dark and pose.random() < 0.4
    shoulders = [(-0.56, 0.05), (-0.52, -0.16), (-0.3, -0.3), (0, -0.34), (0.3, -0.3), (0.52, -0.16), (0.56, 0.05)]
    if hooded:
        cowl = [(-0.6, 0.05), (-0.5, -0.3), (-0.36, -0.8), (0, -1.06), (0.36, -0.8), (0.5, -0.3), (0.6, 0.05)]
        p.blob(cowl, who.cloth)
        p.blob(
            [(-0.26, -0.3), (-0.27, -0.72), (0, -0.92), (0.27, -0.72), (0.26, -0.3), (0, -0.16)],
            darker(who.cloth, 0.6),
            0.6,
        )
        head(p.part(0, -0.55, 0.84), Look(who.skin, who.hair, who.cloth, who.legs, "none"), light, pose)
        return
    if who.style in ("long", "bob"):
        hair_back(p.part(0, -0.58), who, 0.62 if who.style == "long" else 0.4)
    p.blob(shoulders, who.cloth)
    p.poly([(-0.1, -0.36), (0.1, -0.36), (0.11, -0.26), (0, -0.2), (-0.11, -0.26)], darker(who.skin, 0.12), line=0.6)
    p.curve([(-0.16, -0.3), (0, -0.2), (0.16, -0.3)], lighter(who.cloth, 0.35), 0.05, line=0.6)
    head(p.part(0, -0.6), who, light, pose)


def hair_back(p: Local, who: Look, long: float) -> None:
    """Hair that falls behind the shoulders."""
    p.blob(
        [
            (-0.28, -0.2),
            (-0.34, 0.1),
            (-0.36, long * 0.8),
            (-0.2, long),
            (0.2, long),
            (0.36, long * 0.8),
            (0.34, 0.1),
            (0.28, -0.2),
            (0, -0.36),
        ],
        who.hair,
    )


def head(p: Local, who: Look, light: Light, rng: random.Random) -> None:
    """A head of height about 0.7, its middle at (0, 0)."""
    if who.style in ("long", "bob") and p.size < 200:
        hair_back(p, who, 0.5 if who.style == "long" else 0.3)
    if who.style == "bun":
        p.oval(0, -0.42, 0.13, color=who.hair)
    if who.style != "none":
        for s in (-1, 1):
            p.oval(0.26 * s, 0.02, 0.055, 0.075, darker(who.skin, 0.06))
    p.blob(
        [
            (0, -0.34),
            (0.2, -0.27),
            (0.27, -0.04),
            (0.23, 0.16),
            (0.1, 0.31),
            (0, 0.34),
            (-0.1, 0.31),
            (-0.23, 0.16),
            (-0.27, -0.04),
            (-0.2, -0.27),
        ],
        who.skin,
    )
    _face(p, who, light, rng)
    _hair(p, who, light, rng)


def _hair(p: Local, who: Look, light: Light, rng: random.Random) -> None:
    if who.style == "none":
        return
    fringe = [
        (-0.29, 0.02),
        (-0.31, -0.2),
        (-0.18, -0.38),
        (0, -0.42),
        (0.18, -0.38),
        (0.31, -0.2),
        (0.29, 0.02),
        (0.22, -0.14),
        (0.06, -0.2),
        (-0.14, -0.14),
        (-0.23, -0.1),
    ]
    p.blob(fringe, who.hair)
    p.blob([(-0.16, -0.34), (0.02, -0.38), (0.12, -0.34), (-0.04, -0.32)], lighter(who.hair, 0.2), 0, 0)
    if who.style == "hat":
        felt = mix(who.cloth, light((60, 50, 60)), 0.25)
        p.blob([(-0.24, -0.22), (-0.22, -0.46), (0, -0.56), (0.22, -0.46), (0.24, -0.22), (0, -0.18)], felt)
        p.blob([(-0.4, -0.2), (0, -0.28), (0.4, -0.2), (0.36, -0.14), (0, -0.2), (-0.36, -0.14)], felt)


def _face(p: Local, who: Look, light: Light, rng: random.Random) -> None:
    dark = (30, 24, 30)
    if light.dark:
        shadow = mix(who.skin, (18, 10, 26), 0.72)
        for s in (-1, 1):
            p.oval(0.105 * s, -0.03, 0.1, 0.115, mix(who.skin, shadow, 0.6), line=0, bump=0)
            p.oval(0.105 * s, -0.02, 0.072, 0.085, shadow, line=0, bump=0)
            p.oval(0.105 * s, -0.015, 0.028, color=(250, 246, 226), line=0, bump=0)
            p.oval(0.105 * s, -0.015, 0.012, color=(120, 10, 14), line=0, bump=0)
            p.line([(0.03 * s, -0.12), (0.19 * s, -0.17)], shadow, 0.022)
            p.blob(
                [(0.17 * s, 0.08), (0.22 * s, 0.1), (0.15 * s, 0.22), (0.13 * s, 0.14)],
                mix(who.skin, shadow, 0.4),
                0,
                0,
            )
        p.poly([(-0.022, 0.1), (0, 0.06), (0.022, 0.1)], shadow, line=0, bump=0)
        if rng.random() < 0.5:
            p.oval(0, 0.2, 0.06, 0.09, (22, 6, 12), line=0.5, bump=0)
        else:
            p.blob([(-0.14, 0.17), (0, 0.15), (0.14, 0.17), (0.08, 0.24), (-0.08, 0.24)], (26, 6, 12), 0.5, 0)
            for x in (-0.09, -0.045, 0, 0.045, 0.09):
                p.poly([(x - 0.02, 0.165), (x + 0.02, 0.165), (x, 0.2)], (236, 230, 210), line=0, bump=0)
        return
    happy, gloomy = light.mood == "happy", light.mood == "gloomy"
    brow = mix(who.hair, who.skin, 0.2)
    for s in (-1, 1):
        if light.mood == "peaceful":
            p.curve([(0.06 * s, -0.02), (0.105 * s, 0.015), (0.15 * s, -0.02)], dark, 0.018)
        else:
            p.oval(0.105 * s, -0.01, 0.033, 0.045, dark, line=0, bump=0)
            p.oval(0.105 * s - 0.01, -0.025, 0.012, color=(255, 255, 255), line=0, bump=0)
        tilt = 0.04 if gloomy else 0.0
        p.curve([(0.055 * s, -0.1 - tilt), (0.105 * s, -0.125), (0.16 * s, -0.105 + tilt)], brow, 0.018)
        if happy:
            p.oval(0.165 * s, 0.1, 0.055, 0.04, mix(who.skin, light((255, 110, 110)), 0.45), line=0, bump=0)
    p.curve([(-0.005, 0.02), (0.022, 0.08), (-0.01, 0.09)], darker(who.skin, 0.22), 0.016)
    if happy:
        p.blob([(-0.11, 0.15), (0, 0.17), (0.11, 0.15), (0.06, 0.235), (-0.06, 0.235)], light((150, 40, 50)), 0.5, 0)
        p.blob([(-0.085, 0.16), (0, 0.172), (0.085, 0.16), (0.05, 0.185), (-0.05, 0.185)], (255, 252, 246), 0, 0)
    else:
        bend = -0.03 if gloomy else 0.03
        p.curve(
            [(-0.075, 0.19), (0, 0.19 + bend), (0.075, 0.19)], darker(mix(who.skin, (190, 70, 70), 0.5), 0.1), 0.022
        )
