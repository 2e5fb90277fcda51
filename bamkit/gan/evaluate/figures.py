"""From measurements to figures: every one with its n and its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bamkit.common.statistics import Estimate, bootstrap_mean, wilson
from bamkit.gan.evaluate.features import Scaled, unit_scale
from bamkit.gan.evaluate.measures import IDENTITY, METHODS, TRANSFER, TRANSLATION, Measured, Seen
from bamkit.gan.evaluate.metrics.distribution import Moments, frechet_distance, kid
from bamkit.gan.evaluate.metrics.neighbours import mean_pairwise_distance

REAL = "real"
"""Real pictures of the target domain: what a perfect model would look like to the same metric."""

SMALL = 50
"""Below this many pictures a figure gets a warning."""


@dataclass(frozen=True)
class Figure:
    """One number of the evaluation."""

    metric: str
    """`reached`, `probability change`, `ssim`, `kid` ..."""
    direction: str
    """`happy-to-scary`."""
    method: str
    """`translation`, `identity`, `colour transfer`, or `real`."""
    value: float
    n: int
    low: float = math.nan
    """Lower end of the 95 % interval; nan where the metric has none."""
    high: float = math.nan
    interval: str = ""
    """`wilson`, `bootstrap`, `U-statistic`; for KID `deviation`: the subsets' mean -+ their standard deviation."""
    attribute: str = ""
    """The attribute the figure is about, where it is about one."""
    note: str = ""

    def __str__(self) -> str:
        """`0.71 [0.64, 0.77]`, `0.012 ± 0.003` for KID, the bare value where there is no interval."""
        if math.isnan(self.value):
            return ""
        if self.interval == "deviation":
            return f"{digits(self.value, 3)} ± {digits(self.value - self.low, 2)}"
        if math.isnan(self.low):
            return digits(self.value, 3)
        return f"{digits(self.value, 3)} [{digits(self.low, 2)}, {digits(self.high, 2)}]"

    def as_dict(self) -> dict[str, Any]:
        """Plain values: nan becomes None, empty texts are left out."""
        plain = {key: value for key, value in asdict(self).items() if value != ""}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in plain.items()}


def digits(value: float, count: int) -> str:
    """`count` significant digits, or all those before the point: `0.0123`, `1,336`."""
    return f"{value:,.0f}" if abs(value) >= 10**count else f"{value:.{count}g}"


def of(estimate: Estimate, metric: str, direction: str, method: str, **more: str) -> Figure:
    """A figure from an estimate."""
    return Figure(
        metric, direction, method, estimate.value, estimate.n, estimate.low, estimate.high, estimate.method, **more
    )


def mean_of(values: np.ndarray, metric: str, direction: str, method: str, **more: str) -> Figure:
    """The bootstrapped mean of the values that are not nan."""
    return of(bootstrap_mean(values[~np.isnan(values)]), metric, direction, method, **more)


def share_of(hits: np.ndarray, metric: str, direction: str, method: str, **more: str) -> Figure:
    """The share of True with Wilson's interval."""
    return of(wilson(int(np.sum(hits)), len(hits)), metric, direction, method, **more)


def emotion_reached(
    measured: Measured, real: Seen, attributes: Sequence[str], shows: Mapping[str, np.ndarray]
) -> list[Figure]:
    """Share judged as the target, paired change of its probability, and both by content.

    `attributes` are the judge's, in the order of its probabilities; `shows` says by content attribute which source
    pictures BAM labels positive, (n,) bool. A picture is judged as the target where the target's probability is at
    least 1/2. [] where the judge does not know the target.
    """
    name, target = measured.direction.name, measured.direction.target.attribute
    if target not in attributes:
        return []
    column = attributes.index(target)
    probability = {method: _probabilities(measured.seen[method])[:, column] for method in METHODS}
    figures = [share_of(probability[method] >= 0.5, "reached", name, method, attribute=target) for method in METHODS]
    if len(real.store):
        figures.append(share_of(_probabilities(real)[:, column] >= 0.5, "reached", name, REAL, attribute=target))
    for method in (TRANSFER, TRANSLATION):
        change = probability[method] - probability[IDENTITY]
        figures.append(mean_of(change, "probability change", name, method, attribute=target))
    source = measured.direction.source.attribute
    if source in attributes:
        index = attributes.index(source)
        for method in METHODS:
            more = probability[method] > _probabilities(measured.seen[method])[:, index]
            figures.append(share_of(more, "more target than source", name, method, attribute=target))
    change = probability[TRANSLATION] - probability[IDENTITY]
    for content, chosen in shows.items():
        if chosen.any():
            hits = probability[TRANSLATION][chosen] >= 0.5
            about = {"attribute": content}
            figures.append(share_of(hits, "reached with content", name, TRANSLATION, **about))
            figures.append(mean_of(change[chosen], "probability change with content", name, TRANSLATION, **about))
    return figures


def _probabilities(seen: Seen) -> np.ndarray:
    found = seen.probabilities
    if found is None:
        raise ValueError("nothing was judged")
    return found


def content_kept(measured: Measured) -> list[Figure]:
    """SSIM, edge agreement and, where measured, LPIPS of the translation and the baseline against the source.

    The identity is the ceiling: 1, 1 and 0 by definition; it is listed so that tables are complete.
    """
    name, figures = measured.direction.name, []
    for metric, ideal in (("ssim", 1.0), ("edges", 1.0), ("lpips", 0.0)):
        if f"{TRANSLATION} {metric}" not in measured.columns:
            continue
        for method in (TRANSFER, TRANSLATION):
            figures.append(mean_of(measured.columns[f"{method} {metric}"], metric, name, method))
        figures.append(Figure(metric, name, IDENTITY, ideal, len(measured), note="by definition"))
    return figures


def content_survives(measured: Measured, attributes: Sequence[str], told: Sequence[str]) -> list[Figure]:
    """Are the flowers still there, were new ones painted in: by the judge, for each content attribute and in all.

    `content survives`: of the pictures judged to show it before, the share that still does; `painted in`: of those
    that did not, the share that does now. Only attributes in `told` are counted: those the judge can tell at all.
    """
    name, figures = measured.direction.name, []
    known = [(i, one) for i, one in enumerate(attributes) if one.startswith("content_") and one in told]
    if not known:
        return []
    before = _probabilities(measured.seen[IDENTITY]) >= 0.5
    for method in (TRANSFER, TRANSLATION):
        after = _probabilities(measured.seen[method]) >= 0.5
        kept: list[np.ndarray] = []
        new: list[np.ndarray] = []
        for index, attribute in known:
            had = before[:, index]
            kept.append(after[had, index])
            new.append(after[~had, index])
            if method == TRANSLATION and had.any():
                figures.append(share_of(kept[-1], "content survives", name, method, attribute=attribute))
            if method == TRANSLATION and (~had).any():
                figures.append(share_of(new[-1], "painted in", name, method, attribute=attribute))
        note = "all content attributes pooled: cases are (picture, attribute) pairs"
        figures.append(share_of(np.concatenate(kept), "content survives", name, method, note=note))
        figures.append(share_of(np.concatenate(new), "painted in", name, method, note=note))
    return figures


@dataclass
class Space:
    """Feature vectors of one direction in one scale: what distances between pictures are measured in."""

    methods: dict[str, Scaled]
    source_train: Scaled
    target_train: Scaled
    target_test: Scaled


def space_of(measured: Measured, source_train: Seen, target_train: Seen, target_test: Seen, published: bool) -> Space:
    """All vectors of a direction, scaled by one number: the target's training pictures get mean squared coordinate 1.

    `published`: leave them as they are (Inception's, so that figures compare with those in papers).
    """
    reference = target_train.store if len(target_train.store) else target_test.store
    factor = 1.0 if published else unit_scale(reference)

    def scaled(seen: Seen) -> Scaled:
        return Scaled(seen.store, factor)

    methods = {method: scaled(measured.seen[method]) for method in METHODS}
    return Space(methods, scaled(source_train), scaled(target_train), scaled(target_test))


def realism(space: Space, direction: str, seed: int = 0) -> list[Figure]:
    """KID and FID of every method, and of real training pictures (the floor), against the target's real test pictures.

    KID's interval is its subset mean -+ deviation. FID is biased upwards at small n: it is marked wherever either set
    has fewer than 2,048 vectors or fewer than twice its dimensions. [] where a set has fewer than 4 pictures.
    """
    real, figures = space.target_test, []
    sets = {REAL: space.target_train, **space.methods}
    if len(real) < 4:
        return []
    moments = Moments.of(real)
    enough = max(2048, 2 * real.shape[1])
    for method, vectors in sets.items():
        if len(vectors) < 4:
            continue
        n = min(len(vectors), len(real))
        one = kid(vectors, real, seed=seed)
        note = f"{one.subsets} subsets of {one.subset_size}"
        low, high = one.mean - one.deviation, one.mean + one.deviation
        figures.append(Figure("kid", direction, method, one.mean, n, low, high, "deviation", note=note))
        value = frechet_distance(moments, Moments.of(vectors))
        note = f"biased upwards at n = {n:,}: compare at equal n only" if n < enough else ""
        figures.append(Figure("fid", direction, method, value, n, note=note))
    return figures


def diversity(space: Space, direction: str) -> list[Figure]:
    """Mean pairwise distance of every method's pictures and of the target's real test pictures.

    A model that paints the same over everything lies clearly below the real pictures.
    """
    sets = {REAL: space.target_test, **space.methods}
    return [
        of(mean_pairwise_distance(vectors), "diversity", direction, method)
        for method, vectors in sets.items()
        if len(vectors) >= 2
    ]
