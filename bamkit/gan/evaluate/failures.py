"""Failure modes: memorised, inverted, far from both domains; and which cases to show."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bamkit.gan.evaluate.estimates import FeatureSpace, Row, mean_row, share_row
from bamkit.gan.evaluate.measures import IDENTITY, METHODS, TRANSFER, TRANSLATION, Measured
from bamkit.gan.evaluate.metrics.neighbours import nearest

INVERTED = -0.2
"""A correlation of light and dark below this counts as inverted."""
NEIGHBOURS = 5
"""How many training pictures stand for a domain's neighbourhood."""


@dataclass
class Failures:
    """The failure estimates of a direction, and which pictures they are about (indices of pairs)."""

    rows: list[Row] = field(default_factory=list)
    inverted: list[int] = field(default_factory=list)
    memorised: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), int))
    """(n, 2): the pair, and the row of the target's training picture nearest to its output; nearest first."""
    far: list[int] = field(default_factory=list)
    """Sources far from both domains, farthest first."""
    warnings: list[str] = field(default_factory=list)


def failure_modes(measured: Measured, space: FeatureSpace, change: np.ndarray | None) -> Failures:
    """All failure modes of one direction. `change`: each picture's change of the target's probability, with a judge."""
    failures = Failures()
    _inverted(measured, failures)
    _memorised(measured.direction.name, space, failures)
    _far(measured.direction.name, space, change, failures)
    return failures


def _inverted(measured: Measured, failures: Failures) -> None:
    """Light became dark: correlation of luma with the source below INVERTED."""
    for method in (TRANSFER, TRANSLATION):
        light = measured.column(f"{method} light")
        known = ~np.isnan(light)
        failures.rows.append(share_row(light[known] < INVERTED, "inverted", measured.direction.name, method))
        if method == TRANSLATION:
            order = np.argsort(np.where(known, light, np.inf), kind="stable")
            failures.inverted = [int(i) for i in order if known[i] and light[i] < INVERTED]


def _memorised(direction: str, space: FeatureSpace, failures: Failures) -> None:
    """Outputs nearer to a training picture of the target than 95 % of the target's real test pictures are.

    A model that does not memorise has about 5 % of them; identity and colour transfer are given beside it.
    """
    if len(space.target_train) < 1 or len(space.target_test) < 20:
        failures.warnings.append(
            "memorisation is not measured: it takes 20 real test pictures of the target and some training ones."
        )
        return
    usual = float(np.quantile(nearest(space.target_test, space.target_train)[0], 0.05))
    note = f"nearer than {usual:.4g}, the 5 % quantile of real test pictures"
    for method in METHODS:
        distance, row = nearest(space.methods[method], space.target_train)
        failures.rows.append(share_row(distance[:, 0] < usual, "near a training picture", direction, method, note=note))
        if method == TRANSLATION:
            order = np.argsort(distance[:, 0], kind="stable")
            failures.memorised = np.stack([order, row[order, 0]], axis=1)


def _far(direction: str, space: FeatureSpace, change: np.ndarray | None, failures: Failures) -> None:
    """Sources unlike either domain: mean distance to the NEIGHBOURS nearest training pictures, for both domains,
    beyond 95 % of that domain's own pictures (each measured against the others).
    """
    domains = (space.source_train, space.target_train)
    if min(map(len, domains)) <= NEIGHBOURS:
        failures.warnings.append(
            f"far from both domains is not measured: it takes more than {NEIGHBOURS} training pictures a side."
        )
        return
    excess = []
    for train in domains:
        own = nearest(train, train, NEIGHBOURS + 1)[0][:, 1:].mean(axis=1)  # the nearest is the picture itself
        limit = float(np.quantile(own, 0.95))
        excess.append(nearest(space.methods[IDENTITY], train, NEIGHBOURS)[0].mean(axis=1) / max(limit, 1e-12))
    least = np.minimum(*excess)
    far = least > 1
    failures.far = [int(i) for i in np.argsort(-least, kind="stable") if far[i]]
    failures.rows.append(share_row(far, "far from both domains", direction, IDENTITY))
    if change is not None and far.any() and (~far).any():
        failures.rows.append(mean_row(change[far], "probability change of far pictures", direction, TRANSLATION))
        failures.rows.append(mean_row(change[~far], "probability change of near pictures", direction, TRANSLATION))


def grid(n: int, count: int, seed: int = 0) -> list[int]:
    """`count` of `n` pairs, uncurated: drawn by `seed` alone, in order."""
    return sorted(int(i) for i in np.random.default_rng(seed).choice(n, min(count, n), replace=False))


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
