"""From measurements to estimates: every figure of an evaluation is a row of a table, with its n and its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bamkit.common.statistics import DEVIATION, Estimate, bootstrap_mean, cases_text, count_clusters, share, subset
from bamkit.gan.evaluate.features import EvenRows, ScaledFeatures, unit_scale
from bamkit.gan.evaluate.measures import IDENTITY, TRANSFER, TRANSLATION, ImageSet, Measured
from bamkit.gan.evaluate.metrics.distribution import Moments, frechet_distance, kid
from bamkit.gan.evaluate.metrics.manifold import manifold, reach
from bamkit.gan.evaluate.metrics.neighbours import mean_pairwise_distance
from bamkit.gan.evaluate.metrics.vectors import Vectors

if TYPE_CHECKING:
    from bamkit.common.statistics.clusters import Clusters

REAL = "real"
"""Real pictures of the target domain: what a perfect model would look like to the same metric."""

TRAIN = "train"

METHOD_NAMES = {
    TRANSLATION: "the model",
    TRANSFER: "colour transfer",
    IDENTITY: "no translation",
    REAL: "real pictures",
}
"""The columns of a summary: the method and the name people read."""
METRIC_NAMES = {
    "reached": "emotion reached",
    "reached by form": "reached by form alone",
    "probability change": "change of probability",
    "far from both domains": "far from both domains",
    "copies": "copies of training pictures",
    "inverted": "inverted",
    "alike": "all alike",
    "recognised": "source told from nine others",
    "re-lit": "only re-lit",
    "ssim": "SSIM",
    "edges": "edges kept",
    "lpips": "LPIPS",
    "kid": "KID",
    "fid": "FID",
    "density": "density",
    "coverage": "coverage",
    "diversity": "diversity",
}
"""The rows of a summary: the metric and the name people read."""
COLUMNS = ("metric", "direction", "method", "value", "n", "projects", "low", "high", "interval", "attribute", "note")
"""The columns of a table of estimates. `projects`: how many the n pictures come from, <NA> where that is not known.
`interval` says how low and high were made: (clustered) wilson, bootstrap or U-statistic, or deviation (KID: one
standard deviation of its subsets); low and high are NaN where the metric has none."""
NOT_MEASURED = "\N{EN DASH}"
"""What a table shows where a figure has no meaning or was not measured."""

Row = dict[str, Any]


def row(estimate: Estimate, metric: str, direction: str, method: str, attribute: str = "", note: str = "") -> Row:
    """One row of a table of estimates; `attribute` where the figure is about one of BAM's attributes."""
    values = (estimate.value, estimate.n, estimate.clusters, estimate.low, estimate.high, estimate.method)
    return dict(zip(COLUMNS, (metric, direction, method, *values, attribute, note), strict=True))


def mean_row(values: np.ndarray, projects: Clusters, metric: str, direction: str, method: str, **about: str) -> Row:
    """The mean of the values that are not nan, bootstrapped over projects (those of all values)."""
    known = ~np.isnan(values)
    estimate = bootstrap_mean(values[known], subset(projects, known))
    return row(estimate, metric, direction, method, **about)


def share_row(hits: np.ndarray, projects: Clusters, metric: str, direction: str, method: str, **about: str) -> Row:
    """The share of True with its interval, clustered by project."""
    return row(share(hits, projects), metric, direction, method, **about)


def table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows (those of `row`, or of metrics.json) as a table with the columns COLUMNS."""
    texts = {"projects": None, "interval": "", "attribute": "", "note": ""}
    frame = pd.DataFrame([texts | dict(each) for each in rows], columns=list(COLUMNS))
    return frame.astype({"value": float, "low": float, "high": float, "n": int, "projects": "Int64"})


def records(frame: pd.DataFrame) -> list[Row]:
    """The rows of any table as dicts for JSON and pages: NaN becomes None."""
    plain = frame.astype(object).where(frame.notna(), None)
    return [dict(zip(plain.columns, values, strict=True)) for values in plain.itertuples(index=False, name=None)]


def find(figures: pd.DataFrame, metric: str, direction: str, method: str = TRANSLATION) -> Estimate | None:
    """The estimate of that metric, pooled over contents; None if it was not measured."""
    wanted = (metric, direction, method)
    keys = zip(*(figures[name].tolist() for name in ("metric", "direction", "method", "attribute")), strict=True)
    place = next((i for i, (*key, about) in enumerate(keys) if (*key,) == wanted and about[:8] != "content_"), None)
    return None if place is None else estimate_of({name: figures[name].iat[place] for name in COLUMNS[3:9]})


def estimate_of(record: Mapping[str, Any]) -> Estimate:
    """The estimate in one record of a table of estimates."""
    value, low, high = (math.nan if record[name] is None else float(record[name]) for name in ("value", "low", "high"))
    projects = record.get("projects")
    clusters = None if projects is None or projects is pd.NA else int(projects)
    return Estimate(value, low, high, int(record["n"]), record["interval"], clusters=clusters)


def summary(figures: pd.DataFrame, direction: str) -> pd.DataFrame:
    """One row a metric, one column a method, as text with intervals; metrics that were not measured are left out."""
    rows = []
    for metric, label in METRIC_NAMES.items():
        estimates = {name: find(figures, metric, direction, method) for method, name in METHOD_NAMES.items()}
        if any(estimates.values()):
            texts = {name: str(estimate or "") or NOT_MEASURED for name, estimate in estimates.items()}
            rows.append({"metric": label, **texts})
    return pd.DataFrame(rows, columns=["metric", *METHOD_NAMES.values()])


def cases(figures: pd.DataFrame, direction: str) -> str:
    """What the figures of a direction rest on: `60 pictures of 22 projects; 58 real pictures of 30 projects`."""
    own = find(figures, "ssim", direction)
    texts = [cases_text(own.n, own.clusters, "pictures")] if own is not None else []
    real = next(filter(None, (find(figures, metric, direction, REAL) for metric in ("diversity", "reached"))), None)
    if real is not None:
        texts.append(cases_text(real.n, real.clusters, "real pictures"))
    return "; ".join(texts)


def content_kept(measured: Measured) -> list[Row]:
    """SSIM, edge agreement and, where measured, LPIPS of the translation and the baseline against the source.

    The identity is the ceiling: 1, 1 and 0 by definition; it is listed so that tables are complete.
    """
    name, rows, projects = measured.direction.name, [], measured.projects
    for metric, ideal in (("ssim", 1.0), ("edges", 1.0), ("lpips", 0.0)):
        if f"{TRANSLATION} {metric}" not in measured.pictures:
            continue
        for method in (TRANSFER, TRANSLATION):
            rows.append(mean_row(measured.column(f"{method} {metric}"), projects, metric, name, method))
        exact = Estimate(ideal, math.nan, math.nan, len(measured), clusters=count_clusters(projects))
        rows.append(row(exact, metric, name, IDENTITY, note="by definition"))
    return rows


@dataclass
class FeatureSpace:
    """Vectors of one direction in one scale: what distances between pictures are measured in."""

    methods: dict[str, ScaledFeatures]
    source_train: ScaledFeatures
    target_train: ScaledFeatures
    target_test: ScaledFeatures
    projects: dict[str, Clusters]
    """By method; of the target's test pictures under REAL, of its training pictures under TRAIN."""


def feature_space(
    measured: Measured, source_train: ImageSet, target_train: ImageSet, target_test: ImageSet, published: bool
) -> FeatureSpace:
    """All features of a direction, scaled by one number: the target's training pictures get mean squared coordinate 1.

    `published`: leave them as they are (Inception's, so that figures compare with those in papers).
    """
    reference = target_train.features if len(target_train.features) else target_test.features
    factor = 1.0 if published else unit_scale(reference)
    return _space(
        measured, (source_train, target_train, target_test), lambda images: ScaledFeatures(images.features, factor)
    )


def plain_space(
    measured: Measured, source_train: ImageSet, target_train: ImageSet, target_test: ImageSet
) -> FeatureSpace:
    """The plain statistics of a direction, standardised by those of both domains' training pictures."""
    moments = Moments(source_train.plain.shape[1])
    for images in (source_train, target_train):
        for start in range(0, len(images), 512):
            moments.update(images.plain[start : start + 512])
    deviation = np.sqrt(np.diag(moments.covariance)) if moments.n > 1 else np.ones(len(moments.mean))
    factor = 1 / np.maximum(deviation, 1e-6)
    return _space(
        measured,
        (source_train, target_train, target_test),
        lambda images: ScaledFeatures(images.plain, factor, moments.mean),
    )


def _space(
    measured: Measured, real: tuple[ImageSet, ImageSet, ImageSet], scaled: Callable[[ImageSet], ScaledFeatures]
) -> FeatureSpace:
    methods = {method: scaled(images) for method, images in measured.images.items()}
    projects = {method: images.projects for method, images in measured.images.items()}
    projects |= {REAL: real[2].projects, TRAIN: real[1].projects}
    return FeatureSpace(methods, scaled(real[0]), scaled(real[1]), scaled(real[2]), projects)


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
        row(mean_pairwise_distance(vectors, space.projects[method]), "diversity", direction, method)
        for method, vectors in sets.items()
        if len(vectors) >= 2
    ]


def neighbourhoods(space: FeatureSpace, direction: str, k: int = 5) -> list[Row]:
    """Precision, recall, density and coverage of every method against the target's real test pictures.

    The floor is as many training pictures of the target as there are outputs, evenly drawn. Intervals take the
    neighbourhoods as given. [] where a set has no more than k pictures.
    """
    real, rows = space.target_test, []
    train, known = EvenRows(space.target_train, len(space.methods[TRANSLATION])), space.projects[TRAIN]
    own = {**space.projects, REAL: subset(known, train.rows)}
    sets: dict[str, Vectors] = {REAL: train, **space.methods}
    real_reach = reach(real, k) if len(real) > k else None
    for method, vectors in sets.items():
        if min(len(vectors), len(real)) <= k:
            continue
        found = manifold(real, vectors, k, real_reach)
        note = f"neighbourhoods of {k}"
        rows += [
            share_row(found.precision, own[method], "precision", direction, method, note=note),
            share_row(found.recall, space.projects[REAL], "recall", direction, method, note=note),
            mean_row(found.density, own[method], "density", direction, method, note=note),
            share_row(found.coverage, space.projects[REAL], "coverage", direction, method, note=note),
        ]
    return rows
