"""From measurements to estimates: every figure of an evaluation is a row of a table, with its n and its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bamkit.common.statistics import DEVIATION, Estimate, bootstrap_mean, wilson
from bamkit.gan.evaluate.features import ScaledFeatures, unit_scale
from bamkit.gan.evaluate.measures import IDENTITY, METHODS, TRANSFER, TRANSLATION, ImageSet, Measured
from bamkit.gan.evaluate.metrics.distribution import Moments, frechet_distance, kid
from bamkit.gan.evaluate.metrics.neighbours import mean_pairwise_distance

REAL = "real"
"""Real pictures of the target domain: what a perfect model would look like to the same metric."""

METHOD_NAMES = {
    TRANSLATION: "the model",
    TRANSFER: "colour transfer",
    IDENTITY: "no translation",
    REAL: "real pictures",
}
"""The columns of a summary: the method and the name people read."""
METRIC_NAMES = {
    "reached": "emotion reached",
    "probability change": "change of probability",
    "ssim": "SSIM",
    "edges": "edges kept",
    "lpips": "LPIPS",
    "kid": "KID",
    "fid": "FID",
    "diversity": "diversity",
}
"""The rows of a summary: the metric and the name people read."""
COLUMNS = ("metric", "direction", "method", "value", "n", "low", "high", "interval", "attribute", "note")
"""The columns of a table of estimates. `interval` says how low and high were made: wilson, bootstrap, U-statistic, or
deviation (KID: one standard deviation of its subsets); low and high are NaN where the metric has none."""
NOT_MEASURED = "\N{EN DASH}"
"""What a table shows where a figure has no meaning or was not measured."""

Row = dict[str, Any]


def row(estimate: Estimate, metric: str, direction: str, method: str, attribute: str = "", note: str = "") -> Row:
    """One row of a table of estimates; `attribute` where the figure is about one of BAM's attributes."""
    value, low, high, n, interval = estimate.value, estimate.low, estimate.high, estimate.n, estimate.method
    return dict(zip(COLUMNS, (metric, direction, method, value, n, low, high, interval, attribute, note), strict=True))


def mean_row(values: np.ndarray, metric: str, direction: str, method: str, **about: str) -> Row:
    """The bootstrapped mean of the values that are not nan."""
    return row(bootstrap_mean(values[~np.isnan(values)]), metric, direction, method, **about)


def share_row(hits: np.ndarray, metric: str, direction: str, method: str, **about: str) -> Row:
    """The share of True with Wilson's interval."""
    return row(wilson(int(np.sum(hits)), len(hits)), metric, direction, method, **about)


def table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows (those of `row`, or of metrics.json) as a table with the columns COLUMNS."""
    texts = {"interval": "", "attribute": "", "note": ""}
    frame = pd.DataFrame([texts | dict(each) for each in rows], columns=list(COLUMNS))
    return frame.astype({"value": float, "low": float, "high": float, "n": int})


def records(frame: pd.DataFrame) -> list[Row]:
    """The rows of any table as dicts for JSON and pages: NaN becomes None."""
    plain = frame.astype(object).where(frame.notna(), None)
    return [dict(zip(plain.columns, values, strict=True)) for values in plain.itertuples(index=False, name=None)]


def find(figures: pd.DataFrame, metric: str, direction: str, method: str = TRANSLATION) -> Estimate | None:
    """The estimate of that metric, pooled over contents; None if it was not measured."""
    chosen = figures[
        (figures["metric"] == metric)
        & (figures["direction"] == direction)
        & (figures["method"] == method)
        & ~figures["attribute"].str.startswith("content_")
    ]
    return None if chosen.empty else estimate_of(records(chosen)[0])


def estimate_of(record: Mapping[str, Any]) -> Estimate:
    """The estimate in one record of a table of estimates."""
    value, low, high = (math.nan if record[name] is None else record[name] for name in ("value", "low", "high"))
    return Estimate(value, low, high, int(record["n"]), record["interval"])


def summary(figures: pd.DataFrame, direction: str) -> pd.DataFrame:
    """One row a metric, one column a method, as text with intervals; metrics that were not measured are left out."""
    rows = []
    for metric, label in METRIC_NAMES.items():
        estimates = {name: find(figures, metric, direction, method) for method, name in METHOD_NAMES.items()}
        if any(estimates.values()):
            texts = {name: str(estimate or "") or NOT_MEASURED for name, estimate in estimates.items()}
            rows.append({"": label, **texts})
    return pd.DataFrame(rows, columns=["", *METHOD_NAMES.values()])


def emotion_reached(
    measured: Measured, real: ImageSet, attributes: Sequence[str], labelled: Mapping[str, np.ndarray]
) -> list[Row]:
    """Share judged as the target, paired change of its probability, and both by content.

    `attributes` are the judge's, in the order of its probabilities; `labelled` says by content attribute which source
    pictures BAM labels positive, (n,) bool. A picture is judged as the target where the target's probability is at
    least 1/2. [] where the judge does not know the target.
    """
    name, target = measured.direction.name, measured.direction.target.attribute
    if target is None or target not in attributes:
        return []
    column = attributes.index(target)
    probability = {method: _probabilities(measured.images[method])[:, column] for method in METHODS}
    rows = [share_row(probability[method] >= 0.5, "reached", name, method, attribute=target) for method in METHODS]
    if len(real.features):
        rows.append(share_row(_probabilities(real)[:, column] >= 0.5, "reached", name, REAL, attribute=target))
    for method in (TRANSFER, TRANSLATION):
        change = probability[method] - probability[IDENTITY]
        rows.append(mean_row(change, "probability change", name, method, attribute=target))
    source = measured.direction.source.attribute
    if source in attributes:
        index = attributes.index(source)
        for method in METHODS:
            more = probability[method] > _probabilities(measured.images[method])[:, index]
            rows.append(share_row(more, "more target than source", name, method, attribute=target))
    change = probability[TRANSLATION] - probability[IDENTITY]
    for content, chosen in labelled.items():
        if chosen.any():
            hits = probability[TRANSLATION][chosen] >= 0.5
            about = {"attribute": content}
            rows.append(share_row(hits, "reached with content", name, TRANSLATION, **about))
            rows.append(mean_row(change[chosen], "probability change with content", name, TRANSLATION, **about))
    return rows


def _probabilities(images: ImageSet) -> np.ndarray:
    probabilities = images.probabilities
    if probabilities is None:
        raise ValueError("nothing was judged")
    return probabilities


def content_kept(measured: Measured) -> list[Row]:
    """SSIM, edge agreement and, where measured, LPIPS of the translation and the baseline against the source.

    The identity is the ceiling: 1, 1 and 0 by definition; it is listed so that tables are complete.
    """
    name, rows = measured.direction.name, []
    for metric, ideal in (("ssim", 1.0), ("edges", 1.0), ("lpips", 0.0)):
        if f"{TRANSLATION} {metric}" not in measured.pictures:
            continue
        for method in (TRANSFER, TRANSLATION):
            rows.append(mean_row(measured.column(f"{method} {metric}"), metric, name, method))
        exact = Estimate(ideal, math.nan, math.nan, len(measured))
        rows.append(row(exact, metric, name, IDENTITY, note="by definition"))
    return rows


def content_survives(measured: Measured, attributes: Sequence[str], reliable: Sequence[str]) -> list[Row]:
    """Are the flowers still there, were new ones painted in: by the judge, for each content attribute and in all.

    `content survives`: of the pictures judged to show it before, the share that still does; `painted in`: of those
    that did not, the share that does now. Only attributes in `reliable` are counted: those the judge tells apart.
    """
    name, rows = measured.direction.name, []
    known = [(i, a) for i, a in enumerate(attributes) if a.startswith("content_") and a in reliable]
    if not known:
        return []
    before = _probabilities(measured.images[IDENTITY]) >= 0.5
    for method in (TRANSFER, TRANSLATION):
        after = _probabilities(measured.images[method]) >= 0.5
        kept: list[np.ndarray] = []
        new: list[np.ndarray] = []
        for index, attribute in known:
            had = before[:, index]
            kept.append(after[had, index])
            new.append(after[~had, index])
            if method == TRANSLATION and had.any():
                rows.append(share_row(kept[-1], "content survives", name, method, attribute=attribute))
            if method == TRANSLATION and (~had).any():
                rows.append(share_row(new[-1], "painted in", name, method, attribute=attribute))
        note = "all content attributes pooled: cases are (picture, attribute) pairs"
        rows.append(share_row(np.concatenate(kept), "content survives", name, method, note=note))
        rows.append(share_row(np.concatenate(new), "painted in", name, method, note=note))
    return rows


@dataclass
class FeatureSpace:
    """Feature vectors of one direction in one scale: what distances between pictures are measured in."""

    methods: dict[str, ScaledFeatures]
    source_train: ScaledFeatures
    target_train: ScaledFeatures
    target_test: ScaledFeatures


def feature_space(
    measured: Measured, source_train: ImageSet, target_train: ImageSet, target_test: ImageSet, published: bool
) -> FeatureSpace:
    """All vectors of a direction, scaled by one number: the target's training pictures get mean squared coordinate 1.

    `published`: leave them as they are (Inception's, so that figures compare with those in papers).
    """
    reference = target_train.features if len(target_train.features) else target_test.features
    factor = 1.0 if published else unit_scale(reference)

    def scaled(images: ImageSet) -> ScaledFeatures:
        return ScaledFeatures(images.features, factor)

    methods = {method: scaled(measured.images[method]) for method in METHODS}
    return FeatureSpace(methods, scaled(source_train), scaled(target_train), scaled(target_test))


def realism(space: FeatureSpace, direction: str, seed: int = 0) -> list[Row]:
    """KID and FID of every method, and of real training pictures (the floor), against the target's real test pictures.

    KID's interval is its subset mean -+ deviation. FID is biased upwards at small n: it is marked wherever either set
    has fewer than 2,048 vectors or fewer than twice its dimensions. [] where a set has fewer than 4 pictures.
    """
    real, rows = space.target_test, []
    sets = {REAL: space.target_train, **space.methods}
    if len(real) < 4:
        return []
    moments = Moments.of(real)
    enough = max(2048, 2 * real.shape[1])
    for method, vectors in sets.items():
        if len(vectors) < 4:
            continue
        n = min(len(vectors), len(real))
        distance = kid(vectors, real, seed=seed)
        low, high = distance.mean - distance.deviation, distance.mean + distance.deviation
        note = f"{distance.subsets} subsets of {distance.subset_size}"
        rows.append(row(Estimate(distance.mean, low, high, n, DEVIATION), "kid", direction, method, note=note))
        value = frechet_distance(moments, Moments.of(vectors))
        note = f"biased upwards at n = {n:,}: compare at equal n only" if n < enough else ""
        rows.append(row(Estimate(value, math.nan, math.nan, n), "fid", direction, method, note=note))
    return rows


def diversity(space: FeatureSpace, direction: str) -> list[Row]:
    """Mean pairwise distance of every method's pictures and of the target's real test pictures.

    A model that paints the same over everything lies clearly below the real pictures.
    """
    sets = {REAL: space.target_test, **space.methods}
    return [
        row(mean_pairwise_distance(vectors), "diversity", direction, method)
        for method, vectors in sets.items()
        if len(vectors) >= 2
    ]
