"""Failure modes, measured on outputs: far from both domains, copies, inverted, all alike, unrecognisable, only re-lit.

Each is a share of pictures, with the same share of the floors beside it. Limits are quantiles of what real pictures do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.pictures.feature_store import FeatureStore
from bamkit.common.statistics import subset
from bamkit.gan.evaluate.estimates import REAL, FeatureSpace, Row, mean_row, share_row
from bamkit.gan.evaluate.features import EvenRows
from bamkit.gan.evaluate.measures import IDENTITY, METHODS, TRANSFER, TRANSLATION, Measured
from bamkit.gan.evaluate.metrics.neighbours import nearest
from bamkit.gan.evaluate.outputs.copies import TrainingCopies
from bamkit.gan.evaluate.outputs.recognition import other_sources, recognised, unrelated_light

if TYPE_CHECKING:
    from bamkit.common.statistics.clusters import Clusters

NEIGHBOURS = 5
"""How many training pictures stand for a domain's neighbourhood."""
FEWEST = 20
"""Real test pictures that it takes to say what is usual."""


@dataclass
class Failures:
    """The failure estimates of a direction, and which pictures they are about (indices of pairs)."""

    rows: list[Row] = field(default_factory=list)
    inverted: list[int] = field(default_factory=list)
    """Outputs, most inverted first."""
    memorised: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), int))
    """(n, 2): the pair, and the row of the target's training picture nearest to its output; nearest first."""
    far: list[int] = field(default_factory=list)
    """Outputs far from both domains, farthest first."""
    copied: list[int] = field(default_factory=list)
    """Outputs that are copies of training pictures."""
    warnings: list[str] = field(default_factory=list)


def failure_modes(
    measured: Measured,
    space: FeatureSpace,
    plain: FeatureSpace,
    training: TrainingCopies,
    real: FeatureStore,
    change: np.ndarray | None,
) -> Failures:
    """All failure modes of one direction.

    `space` and `plain`: features and plain statistics. `training`: the training pictures of both domains; `real`: small
    copies of the target's test pictures. `change`: each picture's change of the target's probability, with a judge.
    """
    failures, name = Failures(), measured.direction.name
    _far(name, space, plain, change, failures)
    _copied(measured, training, real, space.projects[REAL], failures)
    _inverted(measured, failures)
    _alike(name, space, failures)
    _re_lit(measured, failures)
    _memorised(name, space, failures)
    return failures


def _far(
    direction: str, space: FeatureSpace, plain: FeatureSpace, change: np.ndarray | None, failures: Failures
) -> None:
    """Pictures unlike either domain, by features or by plain statistics (see `_excess`)."""
    if min(len(space.source_train), len(space.target_train)) <= NEIGHBOURS:
        failures.warnings.append(
            f"far from both domains is not measured: it takes more than {NEIGHBOURS} training pictures a side."
        )
        return
    note = "beyond 99 % of training pictures, by features or by light, contrast, colour and texture"
    by_features, by_statistics = _excess(space), _excess(plain)
    for method in by_features:
        excess = np.maximum(by_features[method], by_statistics[method])
        far = excess > 1
        failures.rows.append(
            share_row(far, space.projects[method], "far from both domains", direction, method, note=note)
        )
        if method == TRANSLATION:
            failures.far = [int(i) for i in np.argsort(-excess, kind="stable") if far[i]]
        if method == IDENTITY and change is not None and far.any() and (~far).any():
            for chosen, metric in (
                (far, "probability change of far sources"),
                (~far, "probability change of near sources"),
            ):
                own = space.projects[IDENTITY]
                own = None if own is None else own[chosen]
                failures.rows.append(mean_row(change[chosen], own, metric, direction, TRANSLATION))


def _excess(space: FeatureSpace) -> dict[str, np.ndarray]:
    """By method and REAL, (n,): the mean distance to the NEIGHBOURS nearest training pictures over its limit, for the
    nearer domain; above 1 is far from both.

    The limit is the 99 % quantile of that distance of the domain's own training pictures, each without itself.
    """
    found: dict[str, np.ndarray] = {}
    sets = {**space.methods, **({REAL: space.target_test} if len(space.target_test) else {})}
    for train in (space.source_train, space.target_train):
        own = nearest(train, train, NEIGHBOURS + 1)[0][:, 1:].mean(axis=1)  # the nearest is the picture itself
        limit = max(float(np.quantile(own, 0.99)), 1e-12)
        for name, vectors in sets.items():
            excess = nearest(vectors, train, NEIGHBOURS)[0].mean(axis=1) / limit
            found[name] = np.minimum(found.get(name, np.inf), excess)
    return found


def _copied(
    measured: Measured, training: TrainingCopies, real: FeatureStore, projects: Clusters, failures: Failures
) -> None:
    """Copies of training pictures of either domain, also cropped, mirrored, recoloured or altered in part."""
    if not len(training):
        failures.warnings.append("copies are not measured: there are no training pictures here.")
        return
    sets = {IDENTITY: measured.images[IDENTITY].small, TRANSLATION: measured.images[TRANSLATION].small, REAL: real}
    for method, small in sets.items():
        if not len(small):
            continue
        copied = training.find(small) >= 0
        own = projects if method == REAL else measured.projects
        failures.rows.append(share_row(copied, own, "copies", measured.direction.name, method))
        if method == TRANSLATION:
            failures.copied = np.flatnonzero(copied).tolist()


def _inverted(measured: Measured, failures: Failures) -> None:
    """Light became dark; and whether an output's own source is told from others.

    Inverted is a correlation of luma with the source below 0 and below the 1 % quantile of those between sources that
    have nothing to do with each other.
    """
    name, projects = measured.direction.name, measured.projects
    sources = measured.images[IDENTITY].small
    others = other_sources(len(measured), projects)
    if not others.size:
        failures.warnings.append("inverted and recognised are not measured: there is one source only.")
        return
    unrelated = unrelated_light(sources, others)
    limit = min(0.0, float(np.nanquantile(unrelated, 0.01))) if np.isfinite(unrelated).any() else 0.0
    note = f"correlation of light below {limit:.2f}, the 1 % quantile of unrelated pictures"
    for method in (TRANSFER, TRANSLATION):
        light = measured.column(f"{method} light")
        inverted = light < limit  # False for nan
        failures.rows.append(share_row(inverted, projects, "inverted", name, method, note=note))
        if method == TRANSLATION:
            failures.inverted = [int(i) for i in np.argsort(light, kind="stable") if inverted[i]]
    for method in METHODS:
        found = recognised(measured.images[method].small, sources, others)
        note = f"chance: 1 in {others.shape[1] + 1}"
        failures.rows.append(share_row(found, projects, "recognised", name, method, note=note))


def _alike(direction: str, space: FeatureSpace, failures: Failures) -> None:
    """Pictures nearer to another one of their set than 95 % of real test pictures of the target are to theirs.

    Sets are compared at one size, evenly drawn from: the more pictures, the nearer the nearest.
    """
    if len(space.target_test) < FEWEST:
        failures.warnings.append(f"all alike is not measured: it takes {FEWEST} real test pictures of the target.")
        return
    n = min(len(space.target_test), len(space.methods[TRANSLATION]))
    if n < 2:
        return
    limit = float(np.quantile(_nearest_other(EvenRows(space.target_test, n)), 0.05))
    for method, vectors in {**space.methods, REAL: space.target_test}.items():
        rows = EvenRows(vectors, n)
        projects = subset(space.projects[method], rows.rows)
        alike = _nearest_other(rows) < limit
        note = f"nearer to each other than {limit:.3g}, the 5 % quantile of real test pictures"
        failures.rows.append(share_row(alike, projects, "alike", direction, method, note=note))


def _nearest_other(vectors: EvenRows) -> np.ndarray:
    """(n,) the distance of each vector to the nearest other one."""
    return np.asarray(nearest(vectors, vectors, 2)[0][:, 1])


def _re_lit(measured: Measured, failures: Failures) -> None:
    """Outputs whose light is as much a function of the source's light as after a colour transfer, which paints nothing.

    That is: `light_explained` at or above the 5 % quantile of the colour transfer's.
    """
    baseline = measured.column(f"{TRANSFER} relit")
    if not np.isfinite(baseline).any():
        return
    limit = float(np.nanquantile(baseline, 0.05))
    note = f"{limit:.0%} of the light or more explained by the source's, as in 95 % of colour transfers"
    for method in (TRANSFER, TRANSLATION):
        re_lit = measured.column(f"{method} relit") >= limit
        failures.rows.append(share_row(re_lit, measured.projects, "re-lit", measured.direction.name, method, note=note))


def _memorised(direction: str, space: FeatureSpace, failures: Failures) -> None:
    """Outputs nearer to a training picture of the target than 95 % of the target's real test pictures are.

    A model that does not memorise has about 5 % of them; identity and colour transfer are given beside it.
    """
    if len(space.target_train) < 1 or len(space.target_test) < FEWEST:
        failures.warnings.append(
            f"memorisation is not measured: it takes {FEWEST} real test pictures of the target and some training ones."
        )
        return
    usual = float(np.quantile(nearest(space.target_test, space.target_train)[0], 0.05))
    note = f"nearer than {usual:.4g}, the 5 % quantile of real test pictures"
    for method in METHODS:
        distance, row = nearest(space.methods[method], space.target_train)
        hits = distance[:, 0] < usual
        own = space.projects[method]
        failures.rows.append(share_row(hits, own, "near a training picture", direction, method, note=note))
        if method == TRANSLATION:
            order = np.argsort(distance[:, 0], kind="stable")
            failures.memorised = np.stack([order, row[order, 0]], axis=1)


def improvement(measured: Measured, space: FeatureSpace, change: np.ndarray | None) -> tuple[np.ndarray, str]:
    """One number a picture that says how well it went, and what it is.

    With a judge: the change of the target's probability. Without: how much nearer the picture came to its NEIGHBOURS
    nearest training pictures of the target domain.
    """
    if change is not None:
        return change, "change of the target's probability"
    k = min(NEIGHBOURS, len(space.target_train))
    if k == 0:
        return np.zeros(len(measured)), "nothing: there are no training pictures of the target here"
    before, after = (nearest(space.methods[m], space.target_train, k)[0].mean(axis=1) for m in (IDENTITY, TRANSLATION))
    return before - after, f"how much nearer it came to {k} training pictures of the target"
