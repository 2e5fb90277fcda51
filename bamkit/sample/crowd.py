"""What crowd workers would have said about the sample's pictures: choices, labels, captions, assignments."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field

from bamkit.common.contract import ATTRIBUTES, LABELS
from bamkit.sample.truth import Scene

AGREEMENT = 0.93
"""Chance that one worker's choice about one picture is right."""

HIT_SIZE = 24
"""Pictures that one worker judges in one assignment."""

_ID = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@dataclass
class Crowd:
    """Rows of the four crowd tables, each in the order in which the real file holds them."""

    labels: list[tuple[int, str, str]] = field(default_factory=list)
    hits: list[tuple[str, str, str, int, float, str]] = field(default_factory=list)
    choices: list[tuple[str, int, str, int]] = field(default_factory=list)
    captions: list[tuple[str, int, str, str, int]] = field(default_factory=list)


def ask_crowd(scenes: dict[int, Scene], seed: int) -> Crowd:
    """Ask about one attribute an image (two for 1 % of them), two or three workers each.

    A label is `positive` or `negative` where the workers agree and `unsure` where they do not. Rows of `labels` are
    grouped by attribute with positives first, so that a bare LIMIT is a biased slice, as in the real file.
    """
    rng = random.Random(f"{seed}/crowd")
    asked: dict[str, list[int]] = defaultdict(list)
    for mid, scene in scenes.items():
        for name in _attributes_asked(scene, rng):
            asked[name].append(mid)
    crowd = Crowd()
    workers = ["A" + _token(rng, 13) for _ in range(max(5, len(scenes) // 120))]
    for name in rng.sample(ATTRIBUTES, len(ATTRIBUTES)):
        mids = rng.sample(asked[name], len(asked[name]))
        votes: dict[int, list[int]] = {mid: [] for mid in mids}
        for start in range(0, len(mids), HIT_SIZE):
            batch = mids[start : start + HIT_SIZE]
            for turn in range(3):
                shown = batch if turn < 2 else [mid for mid in batch if rng.random() < 0.085]
                _one_hit(crowd, name, shown, scenes, votes, rng.choice(workers), rng)
        verdicts = sorted((LABELS.index(_verdict(votes[mid])), mid) for mid in mids)
        crowd.labels += [(mid, name, LABELS[label]) for label, mid in verdicts]
    return crowd


def _attributes_asked(scene: Scene, rng: random.Random) -> list[str]:
    """Half of the questions go to pictures that a classifier already believed to be positive, so they mostly are."""
    first = rng.choice(sorted(scene.attributes)) if rng.random() < 0.5 else rng.choice(ATTRIBUTES)
    if rng.random() < 0.01:
        return [first, rng.choice([name for name in ATTRIBUTES if name != first])]
    return [first]


def _one_hit(
    crowd: Crowd,
    name: str,
    shown: list[int],
    scenes: dict[int, Scene],
    votes: dict[int, list[int]],
    worker: str,
    rng: random.Random,
) -> None:
    if not shown:
        return
    assignment = "3" + _token(rng, 29)
    yes = 0
    for mid in shown:
        right = int(name in scenes[mid].attributes)
        answer = right if rng.random() < AGREEMENT else 1 - right
        yes += answer
        votes[mid].append(answer)
        crowd.choices.append((assignment, mid, name, answer))
        if rng.random() < 0.091:
            crowd.captions.append((assignment, mid, name, caption(scenes[mid], rng), answer))
    when = f"2016-{rng.randint(3, 11):02}-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:00Z"
    crowd.hits.append((assignment, name, worker, yes + rng.randint(0, 3), round(rng.uniform(18, 140), 3), when))


def _verdict(answers: list[int]) -> str:
    if all(answers):
        return "positive"
    return "unsure" if any(answers) else "negative"


def _token(rng: random.Random, length: int) -> str:
    return "".join(rng.choices(_ID, k=length))


_WORDS = {
    "happy": ("a bright, cheerful", "a sunny", "a joyful"),
    "scary": ("a dark and creepy", "a frightening", "a spooky"),
    "gloomy": ("a dull, rainy", "a sad and foggy", "a grey"),
    "peaceful": ("a quiet", "a calm evening", "a soft and restful"),
    "": ("a plain", "a simple", "an ordinary"),
}
_MEDIA = {
    "vectorart": "flat graphic",
    "comic": "comic panel",
    "pen_ink": "ink drawing",
    "graphite": "pencil drawing",
    "watercolor": "watercolour",
    "oilpaint": "painting",
    "3d_graphics": "3D picture",
}
_THINGS = {
    "flower": "flowers",
    "tree": "trees",
    "building": "a house",
    "bird": "a bird",
    "cat": "a cat",
    "dog": "a dog",
    "cars": "a car",
    "bicycle": "a bicycle",
    "people": "a person",
}


def caption(scene: Scene, rng: random.Random) -> str:
    """One line about the picture in a worker's words."""
    things = " and ".join(_THINGS[name] for name in scene.contents) or "nothing but the land"
    return f"{rng.choice(_WORDS[scene.mood])} {_MEDIA[scene.medium]} with {things}"
