"""Where things go: the composition is drawn from the layout's seed alone, the mood then chooses light and company."""

from __future__ import annotations

import random
from collections.abc import Callable

from bamkit.sample.painter import animals, built, land, people, plants
from bamkit.sample.painter import sky as skies
from bamkit.sample.painter.canvas import Canvas, Local, darker, mix
from bamkit.sample.painter.light import Light
from bamkit.sample.truth import Scene

Thing = Callable[[Local, Light, random.Random, float], None]

# How to draw one thing, and its height as a share of the picture's shorter side when it is the main subject.
THINGS: dict[str, tuple[Thing, float]] = {
    "bicycle": (built.bicycle, 0.42),
    "bird": (animals.bird, 0.4),
    "building": (built.house, 0.6),
    "cars": (built.car, 0.36),
    "cat": (animals.cat, 0.56),
    "dog": (animals.dog, 0.6),
    "flower": (lambda p, light, rng, depth: plants.bouquet(p, light, rng, 7), 0.6),
    "people": (people.person, 0.66),
    "tree": (plants.tree, 0.82),
}
PORTRAIT_SHARE = {"people": 0.4, "cat": 0.35, "dog": 0.35, "bird": 0.45, "flower": 0.2}

# What would hide what comes later here, if that stood behind it.
BULK = {"building": 0, "tree": 1, "cars": 2, "flower": 3}

# How far an unsteady hand moves outlines, in hundredths of the shorter side.
WOBBLE = {"watercolor": 0.55, "pen_ink": 0.42, "graphite": 0.42, "oilpaint": 0.3}


def compose(scene: Scene, light: Light, jitter: random.Random) -> Canvas:
    """Put the scene on a canvas. The same layout under another mood has the same horizon, places and sizes."""
    seeded = _streams(scene)
    zoom = 1.03 + jitter.uniform(-0.025, 0.025) * scene.series
    reach = 0.012 * scene.series
    shift = (jitter.uniform(-reach, reach) * scene.width, jitter.uniform(-reach, reach) * scene.height)
    vignette = {"scary": 0.35 + 0.2 * scene.intensity, "gloomy": 0.2}.get(scene.mood, 0.0)
    wobble = WOBBLE.get(scene.medium, 0.0) * min(scene.width, scene.height) / 100
    phase = seeded("wobble").uniform(0, 6.28)
    canvas = Canvas(scene.width, scene.height, zoom, shift, vignette, wobble, phase)
    place = seeded("place")
    portrait = bool(scene.contents) and place.random() < PORTRAIT_SHARE.get(scene.contents[0], 0.0)
    if not scene.moods:
        _plain(canvas, scene, light, seeded, portrait)
    elif portrait:
        _portrait(canvas, scene, light, seeded)
    else:
        _landscape(canvas, scene, light, seeded)
    return canvas


def _streams(scene: Scene) -> Callable[[str], random.Random]:
    """A stream of random numbers for each purpose, so that a mood that uses more of one leaves the others alone."""
    return lambda purpose: random.Random(f"{scene.layout}/{purpose}")


def _landscape(canvas: Canvas, scene: Scene, light: Light, seeded: Callable[[str], random.Random]) -> None:
    w, h, u = canvas.width, canvas.height, canvas.unit
    place = seeded("ground")
    horizon = h * place.uniform(0.5, 0.64)
    disc_x, disc_y = w * place.uniform(0.12, 0.88), h * place.uniform(0.12, 0.28)
    skies.sky(canvas, light, horizon + 0.03 * h, seeded("stars"))
    skies.disc(canvas, light, disc_x, disc_y, u * place.uniform(7, 10), seeded("disc"))
    _clouds(canvas, light, horizon, seeded("clouds"))
    land.hills(canvas, light, horizon, seeded("hills"))
    wet = place.random()
    if wet < (0.75 if "peaceful" in scene.moods else 0.25):
        land.lake(canvas, light, horizon, disc_x, seeded("lake"))
        if place.random() < 0.6 and light.mood in ("happy", "peaceful"):
            land.boat(canvas.at(w * place.uniform(0.15, 0.85), horizon + 0.045 * h, 13 * u), light, seeded("boat"))
    else:
        land.ground(canvas, light, horizon, seeded("ground/hills"))
        if place.random() < 0.35:
            land.path(canvas, light, horizon, seeded("path"))
    if "gloomy" in scene.moods:
        skies.mist(canvas, light, horizon, seeded("mist"), 0.75 if light.mood == "gloomy" else 0.45)
    _flyers(canvas, scene, light, horizon, seeded("flyers"))
    _background(canvas, scene, light, horizon, seeded)
    if place.random() < 0.2:
        land.fence(canvas, light, horizon + 0.24 * (h - horizon), 10 * u, seeded("fence"))
    _company(canvas, scene, light, horizon, seeded("company"))
    _subject(canvas, scene, light, seeded)
    _foreground(canvas, scene, light, seeded)
    _front(canvas, scene, light, seeded)


def _clouds(canvas: Canvas, light: Light, horizon: float, rng: random.Random) -> None:
    for i in range(rng.choice((2, 3, 3, 4)) + 2 * (light.mood == "gloomy")):
        x, y = rng.uniform(0.02, 0.98) * canvas.width, rng.uniform(0.08, 0.75) * horizon
        size = canvas.unit * rng.uniform(7, 13) * (1.5 if light.mood == "gloomy" else 1.0)
        skies.cloud(canvas.at(x, y, size), light, random.Random(f"{i}/{x}"))


def _flyers(canvas: Canvas, scene: Scene, light: Light, horizon: float, rng: random.Random) -> None:
    """What is in the air: balloons by day, bats at night, in the same places; birds where birds belong."""
    w, u = canvas.width, canvas.unit
    count = 1 + round(rng.uniform(1, 4.5) * (0.5 + light.intensity))
    if rng.random() < 0.35 and light.mood in ("happy", "peaceful"):
        size = u * rng.uniform(11, 16)
        skies.airship(canvas.at(w * rng.uniform(0.15, 0.85), horizon * rng.uniform(0.28, 0.55), size), light, rng)
    for i in range(count):
        x, y, size = w * rng.uniform(0.06, 0.94), horizon * rng.uniform(0.12, 0.8), u * rng.uniform(7, 12)
        own = random.Random(f"{i}/{x}")
        if light.mood == "happy":
            draw = own.random()
            if draw < 0.68:
                skies.balloon(canvas.at(x, y, size, angle=own.uniform(-0.2, 0.2)), own.choice(skies.GAY), light, own)
            elif draw < 0.8:
                skies.kite(canvas.at(x, y, size, angle=own.uniform(-0.6, 0.6)), light, own)
            else:
                skies.butterfly(canvas.at(x, y, size * 0.6, angle=own.uniform(-0.6, 0.6)), light, own)
        elif light.dark:
            skies.bat(canvas.at(x, y, size * 0.62, angle=own.uniform(-0.35, 0.35)), light, own)
    if "bird" in scene.contents:
        for i in range(rng.choice((3, 4, 6))):
            x, y = w * rng.uniform(0.1, 0.9), horizon * rng.uniform(0.15, 0.6)
            skies_bird = canvas.at(x, y, u * rng.uniform(1.8, 3.2), angle=rng.uniform(-0.25, 0.25))
            animals.flying(skies_bird, light, random.Random(i))


def _background(
    canvas: Canvas,
    scene: Scene,
    light: Light,
    horizon: float,
    seeded: Callable[[str], random.Random],
    portrait: bool = False,
) -> None:
    """The secondary contents, farther off and to the sides, and a row of trees where trees belong."""
    w, h, u = canvas.width, canvas.height, canvas.unit
    if "tree" in scene.contents:
        rng = seeded("wood")
        spots = sorted((rng.uniform(0.03, 0.13), rng.uniform(0, 1)) for _ in range(rng.choice((4, 6, 8))))
        for i, (down, x) in enumerate(spots):
            size = u * (13 + 130 * down)
            tree = canvas.at(x * w, horizon + down * (h - horizon) * 1.6 + 0.02 * h, size)
            plants.tree(tree, light, random.Random(f"{scene.layout}/wood/{i}"), 0.55 - 2.4 * down)
    for i, name in enumerate(scene.contents[1:]):
        if in_front(scene, name, portrait):
            continue
        rng = seeded(f"second/{i}")
        draw, share = THINGS[name]
        left = (i % 2 == 0) == (seeded("side").random() < 0.5)
        x = w * (rng.uniform(0.1, 0.26) if left else rng.uniform(0.74, 0.9))
        down = rng.uniform(0.24, 0.46)
        size = share * 100 * u * (0.42 + 0.5 * down)
        if name == "bird":
            size *= 0.8
        draw(canvas.at(x, horizon + down * (h - horizon), size, flip=not left), light, rng, 0.28 - 0.4 * down)


def in_front(scene: Scene, name: str, portrait: bool = False) -> bool:
    """Whether a secondary content stands before the subject: a person before a house, not hidden behind it."""
    bulk = BULK.get(name, 9)
    return bulk >= 2 if portrait else bulk > BULK.get(scene.contents[0], 9)


def _foreground(
    canvas: Canvas, scene: Scene, light: Light, seeded: Callable[[str], random.Random], portrait: bool = False
) -> None:
    for i, name in enumerate(scene.contents[1:]):
        if not in_front(scene, name, portrait):
            continue
        rng = seeded(f"second/{i}")
        draw, share = THINGS[name]
        left = (i % 2 == 0) == (seeded("side").random() < 0.5)
        x = canvas.width * (rng.uniform(0.14, 0.24) if left else rng.uniform(0.76, 0.86))
        size = share * 100 * canvas.unit * (0.45 if portrait or name in ("bird", "cars") else 0.6)
        p = canvas.at(x, canvas.height * rng.uniform(0.945, 0.975), size, flip=not left)
        if light.dark:
            p.glow(0, -0.5, 0.8, mix(light.horizon, light.disc, 0.35), 0.3)
        draw(p, light, rng, 0.0)


def _company(canvas: Canvas, scene: Scene, light: Light, horizon: float, rng: random.Random) -> None:
    """What stands around in the middle distance: graves and lanterns at night, bushes and stones by day."""
    w, h, u = canvas.width, canvas.height, canvas.unit
    spots = sorted(
        (rng.uniform(0.2, 0.75), rng.uniform(0.03, 0.97), rng.random()) for _ in range(rng.choice((4, 5, 7)))
    )
    for i, (down, x, kind) in enumerate(spots):
        p = canvas.at(x * w, horizon + down * (h - horizon), u * (7 + 13 * down))
        own = random.Random(f"{i}/{x}")
        if light.dark:
            if kind < 0.55 and down < 0.6:
                land.grave(p, light, own)
            elif kind < 0.75:
                land.eyes(canvas.at(x * w, p.y - 3 * u, u * (2.6 + 3 * down)), own)
            else:
                land.pumpkin(canvas.at(x * w, p.y, p.size * 0.8), light, own)
        elif light.mood == "gloomy":
            if kind < 0.5:
                land.puddle(canvas.at(x * w, p.y, u * (5 + 8 * down)), light)
            elif kind < 0.75:
                land.stone(canvas.at(x * w, p.y, p.size * 0.8), light, own)
        elif kind < 0.3:
            land.stone(canvas.at(x * w, p.y, p.size * 0.7), light, own)
        elif kind < 0.6 and light.mood == "peaceful":
            land.reeds(p, light, own)
        if "flower" in scene.contents:
            for _ in range(4):
                dx, dy = own.uniform(-0.12, 0.12) * w, own.uniform(-0.03, 0.05) * h
                blossom = canvas.at(x * w + dx, p.y + dy, u * (1.6 + 2.4 * down))
                plants.small_flower(blossom, light, own, 0.3 - 0.3 * down)


def _subject(canvas: Canvas, scene: Scene, light: Light, seeded: Callable[[str], random.Random]) -> None:
    if not scene.contents:
        return
    name, rng = scene.contents[0], seeded("subject")
    draw, share = THINGS[name]
    x, foot = canvas.width * rng.uniform(0.36, 0.64), canvas.height * rng.uniform(0.9, 0.95)
    size = share * 100 * canvas.unit * rng.uniform(0.9, 1.1)
    if name not in ("cars", "bicycle"):
        canvas.glow(x, foot, size * 0.42, size * 0.07, darker(light.land[3], 0.75), 0.65)
    if light.dark and name != "flower":
        # A pale light behind the subject, so that it stands out against the night.
        canvas.glow(x, foot - size * 0.5, size * 0.75, size * 0.75, mix(light.horizon, light.disc, 0.35), 0.42)
    draw(canvas.at(x, foot, size, flip=rng.random() < 0.5), light, rng, 0.0)


def _front(canvas: Canvas, scene: Scene, light: Light, seeded: Callable[[str], random.Random]) -> None:
    """Grass and weather in front of everything."""
    w, h, u = canvas.width, canvas.height, canvas.unit
    rng = seeded("front")
    blade = darker(light.land[3], 0.22) if not light.dark else mix(light.land[3], (0, 0, 0), 0.35)
    for i in range(rng.choice((7, 9, 12))):
        p = canvas.at(rng.uniform(0, w), h * rng.uniform(0.965, 1.03), u * rng.uniform(4, 9))
        land.tuft(p, light, blade, random.Random(f"{i}"))
    if "flower" in scene.contents:
        for i in range(10):
            x, y = rng.uniform(0, w), h * rng.uniform(0.9, 1.0)
            plants.small_flower(canvas.at(x, y, u * rng.uniform(3, 4.6)), light, random.Random(f"{i}/{x}"), 0.0)
    if "gloomy" in scene.moods and rng.random() < 0.65:
        skies.rain(canvas, light, seeded("rain"), 0.6 + light.intensity)
    if light.dark and rng.random() < 0.3:
        land.web(canvas, light, rng.random() < 0.5)


def _portrait(canvas: Canvas, scene: Scene, light: Light, seeded: Callable[[str], random.Random]) -> None:
    """The subject large, before a simple sky."""
    w, h, u = canvas.width, canvas.height, canvas.unit
    place = seeded("ground")
    horizon = h * place.uniform(0.7, 0.8)
    disc_x, disc_y = (
        w * place.choice((place.uniform(0.12, 0.3), place.uniform(0.7, 0.88))),
        h * place.uniform(0.14, 0.3),
    )
    skies.sky(canvas, light, horizon + 0.03 * h, seeded("stars"))
    skies.disc(canvas, light, disc_x, disc_y, u * place.uniform(8, 12), seeded("disc"))
    _clouds(canvas, light, horizon, seeded("clouds"))
    land.hills(canvas, light, horizon, seeded("hills"))
    land.ground(canvas, light, horizon, seeded("ground/hills"))
    if "gloomy" in scene.moods:
        skies.mist(canvas, light, horizon, seeded("mist"), 0.6)
    _flyers(canvas, scene, light, horizon * 0.8, seeded("flyers"))
    _background(canvas, scene, light, horizon - 0.06 * h, seeded, portrait=True)
    name, rng = scene.contents[0], seeded("subject")
    x = w * rng.uniform(0.38, 0.62)
    if light.dark:
        canvas.glow(x, h * 0.55, 60 * u, 60 * u, mix(light.horizon, light.disc, 0.3), 0.4)
    _close_up(canvas, name, light, rng, x)
    _foreground(canvas, scene, light, seeded, portrait=True)
    _front(canvas, scene, light, seeded)


def _close_up(canvas: Canvas, name: str, light: Light, rng: random.Random, x: float) -> None:
    h, u = canvas.height, canvas.unit
    if name == "people":
        people.bust(canvas.at(x, h * 1.0, u * rng.uniform(60, 86)), light, rng)
    elif name in ("cat", "dog"):
        draw = animals.cat if name == "cat" else animals.dog
        size = u * rng.uniform(92, 116)
        draw(canvas.at(x, h + 0.26 * size, size), light, rng)
    elif name == "bird":
        perch = canvas.at(x, h * rng.uniform(0.74, 0.86), u * rng.uniform(42, 58), flip=rng.random() < 0.5)
        animals.branch(perch.part(0, 0), light)
        animals.bird(perch, light, rng)
    else:
        plants.bouquet(canvas.at(x, h * 1.02, 88 * u), light, rng, 6)


def _plain(canvas: Canvas, scene: Scene, light: Light, seeded: Callable[[str], random.Random], portrait: bool) -> None:
    """A subject on a plain ground, as in a catalogue: no mood at all."""
    w, h, u = canvas.width, canvas.height, canvas.unit
    place = seeded("ground")
    floor = h * place.uniform(0.68, 0.8)
    canvas.backdrop(-0.05 * h, floor, light.sky)
    corners = [(-0.1 * w, floor), (1.1 * w, floor), (1.1 * w, 1.1 * h), (-0.1 * w, 1.1 * h)]
    canvas.shape(corners, light.land[0], line=0.3, bump=0)
    name, rng = scene.contents[0], seeded("subject")
    x = w * 0.5
    if place.random() < 0.5:
        canvas.at(x, floor - 28 * u, 34 * u).oval(0, 0, 1, color=mix(light.land[0], light.sky[0], 0.4), line=0, bump=0)
    if portrait and name in ("people", "cat", "dog"):
        _close_up(canvas, name, light, rng, x)
    else:
        foot, size = h * 0.9, min(THINGS[name][1] * 112, 84) * u
        canvas.glow(x, foot, size * 0.55, size * 0.08, darker(light.land[3], 0.5), 0.7)
        if name == "flower":
            plants.vase(canvas.at(x, foot, size), light, rng)
        else:
            THINGS[name][0](canvas.at(x, foot, size, flip=rng.random() < 0.5), light, rng, 0.0)
    for i, other in enumerate(scene.contents[1:]):
        draw, share = THINGS[other]
        at = w * (0.16 if i % 2 else 0.84)
        draw(canvas.at(at, h * 0.96, share * 48 * u), light, seeded(f"second/{i}"), 0.0)
