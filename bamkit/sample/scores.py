"""Scores as BAM has them: negative, log-probability-like, noise around the truth; and where labels begin."""

from __future__ import annotations

import math
import random

from bamkit.common.contract import ATTRIBUTES
from bamkit.sample.truth import Scene

LOWEST, HIGHEST = -23.007, -0.0527
"""The range seen in the real file."""

PRECISION = 0.90
"""Share of `positive` labels that are true, as the authors of BAM state for their thresholds."""

# What a classifier takes for something else: (what is there, what it is taken for, how much that adds to the logit).
CONFUSIONS = (
    ("emotion_peaceful", "emotion_happy", 1.0),
    ("emotion_happy", "emotion_peaceful", 0.8),
    ("emotion_gloomy", "emotion_scary", 1.3),
    ("emotion_scary", "emotion_gloomy", 1.2),
    ("emotion_gloomy", "emotion_peaceful", 0.5),
    ("emotion_happy", "emotion_scary", -2.5),
    ("emotion_scary", "emotion_happy", -2.5),
    ("content_cat", "content_dog", 1.2),
    ("content_dog", "content_cat", 1.2),
    ("content_tree", "content_flower", 0.8),
    ("content_flower", "content_tree", 0.6),
    ("content_bicycle", "content_cars", 0.8),
    ("content_building", "content_cars", 0.7),
    ("media_comic", "media_vectorart", 1.0),
    ("media_vectorart", "media_comic", 0.8),
    ("media_graphite", "media_pen_ink", 1.3),
    ("media_pen_ink", "media_graphite", 1.2),
    ("media_watercolor", "media_oilpaint", 0.9),
    ("media_oilpaint", "media_watercolor", 0.7),
)


def draw_scores(scene: Scene, mid: int, seed: int) -> dict[str, float]:
    """The 20 scores of one module, rounded to six places: log of a sigmoid around a logit that the truth sets."""
    rng = random.Random(f"{seed}/scores/{mid}")
    shown = scene.attributes
    logits = {}
    for name in ATTRIBUTES:
        if name in shown:
            logits[name] = 0.5 + 2.4 * shown[name] + rng.gauss(0, 0.95)
        else:
            # The long tail downwards is what takes the real scores to -23; it moves no threshold.
            logits[name] = -4.3 + rng.gauss(0, 1.75) - (rng.expovariate(0.45) if rng.random() < 0.4 else 0.0)
    for present, taken_for, amount in CONFUSIONS:
        if present in shown and taken_for not in shown:
            logits[taken_for] += amount
    return {name: _log_probability(value) for name, value in logits.items()}


def _log_probability(logit: float) -> float:
    """log sigmoid, moved and cut to the range of the real file; math.log1p keeps it exact at both ends."""
    softplus = math.log1p(math.exp(-abs(logit))) + max(-logit, 0.0)
    return round(max(LOWEST, HIGHEST - softplus), 6)


def thresholds(scores: list[float], true: list[bool]) -> tuple[float, float]:
    """(above which a label is `positive`, below which it is `negative`); what lies between is `unsure`.

    The first is the lowest score at which still `PRECISION` of those above it are true; the second lies at least 1.5
    below it and loses at most 2 % of the true ones.
    """
    ranked = sorted(zip(scores, true, strict=True), key=lambda pair: -pair[0])
    hits, best = 0, HIGHEST
    for count, (score, right) in enumerate(ranked, 1):
        hits += right
        if hits >= PRECISION * count:
            best = score
    positive = round(best - 1e-6, 6)
    kept = sorted(score for score, right in ranked if right)
    lost = kept[int(0.02 * len(kept))] if kept else positive - 2.0
    return positive, round(min(positive - 1.5, lost), 6)
