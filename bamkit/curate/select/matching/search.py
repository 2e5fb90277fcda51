"""The search behind matching: one candidate for each anchor, then exchanges that bring the mean scores closer."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.contract import SPLITS
from bamkit.common.statistics import BALANCED

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIPER = 0.2
"""How far propensities may lie apart, in standard deviations of their logit (Austin 2011, Pharm. Stat. 10:150)."""
WIDE = 5.0
"""How many calipers away an image with the same labels is still taken before one with other labels."""
REFINED = 50
"""How many of the best-ranked candidates that fit an anchor are tried in its place."""
FEASIBLE = 0.9
"""Refining needs this share of images that have the same labels or lie within the caliper."""


@dataclass(frozen=True)
class Matches:
    place: NDArray[np.int64]
    """The row of the pool chosen for each anchor; -1 where the pool was used up."""
    exact: NDArray[np.bool_]
    """Whether it has the anchor's coarse labels."""
    close: NDArray[np.bool_]
    """Whether it lies within the caliper."""


class Search:
    """The candidates in the order of their propensity, and which of them are still free."""

    def __init__(
        self,
        wanted: NDArray[np.float64],
        labels: NDArray[np.int64],
        there: NDArray[np.float64],
        there_labels: NDArray[np.int64],
        positive: NDArray[np.bool_] | None = None,
        others: int | None = None,
    ) -> None:
        """`wanted` and `labels`: logit and coarse labels of the anchors; `there`...: of the pool, best rank first.

        positive: bool (pool,), which candidates show the domain's own attribute; at most `others` of the rest are
        chosen (None for any number), apart from those for the reserve.
        """
        self.wanted, self.labels = wanted, labels
        self.order = np.argsort(there, kind="stable")  # holds places in the pool, which are ranks
        self.logits, self.there_labels = there[self.order], there_labels[self.order]
        self.free = np.ones(self.order.size, dtype=bool)
        self.positive = np.ones(self.order.size, dtype=bool) if positive is None else positive
        self.others = self.order.size if others is None else others
        self.caliper = CALIPER * float(np.concatenate([wanted, there]).std())

    def run(self, unbounded: int | None = None) -> Matches:
        """One row of the pool for each anchor, none twice, in the order of the anchors; the bound on candidates that
        are not positive holds for all anchors before the one numbered `unbounded` (None: for all)."""
        n = self.wanted.size
        matches = Matches(np.full(n, -1, np.int64), np.zeros(n, bool), np.zeros(n, bool))
        held_back, remaining = np.zeros(self.order.size, dtype=bool), self.others
        for index in range(n):
            if index == unbounded:
                self.free |= held_back
            elif not remaining and not held_back.any() and (unbounded is None or index < unbounded):
                held_back = self.free & ~self.positive[self.order]
                self.free &= ~held_back
            same = self.like(index)
            if same.size:
                at = int(same[np.argmin(self.order[same])])
            elif (wider := self.like(index, WIDE)).size:
                at = int(wider[np.argmin(np.abs(self.logits[wider] - self.wanted[index]))])
            else:
                at = _nearest_free(self.free, self.logits, float(self.wanted[index]))
                if at < 0:
                    break
            self.free[at] = False
            matches.place[index] = self.order[at]
            remaining -= not self.positive[self.order[at]]
            matches.exact[index] = self.there_labels[at] == self.labels[index]
            matches.close[index] = abs(self.logits[at] - self.wanted[index]) <= self.caliper
        if unbounded is None or unbounded >= n:
            self.free |= held_back
        return matches

    def like(self, index: int, calipers: float = 1.0) -> NDArray[np.int64]:
        """The free candidates (places in `order`) with an anchor's labels within `calipers` of it."""
        reach = calipers * self.caliper
        start = np.searchsorted(self.logits, self.wanted[index] - reach, side="left")
        end = np.searchsorted(self.logits, self.wanted[index] + reach, side="right")
        same = self.free[start:end] & (self.there_labels[start:end] == self.labels[index])
        return np.flatnonzero(same).astype(np.int64) + int(start)

    def refine(
        self, matches: Matches, homes: NDArray[np.int64], target: NDArray[np.float64], pool: NDArray[np.float64]
    ) -> None:
        """Exchange images for others that fit their anchor as well, where that brings the split's mean scores closer.

        At most two rounds over the anchors of a split, until all means lie within half of what is called balanced; each
        looks at the 50 best ranks that fit. Where too few candidates resemble the target, means would be bought with
        odd images: such a split stays as it is. `target` are the features of the anchors, `pool` of the candidates.
        """
        target, pool = _standardised(target, pool)
        position = np.empty(self.order.size, dtype=np.int64)
        position[self.order] = np.arange(self.order.size)
        for home in range(len(SPLITS) - 1):
            own = np.flatnonzero((homes == home) & (matches.place >= 0))
            if not own.size or (matches.close | matches.exact)[own].mean() < FEASIBLE:
                continue
            gap = target[own].mean(axis=0) - pool[matches.place[own]].mean(axis=0)
            for index in [*own, *own]:
                if np.abs(gap).max() < BALANCED / 2:
                    break
                fits = self.order[self.like(index)]
                if self.positive[matches.place[index]]:
                    fits = fits[self.positive[fits]]
                fits = np.sort(fits)[:REFINED]
                if not fits.size or not (matches.exact[index] and matches.close[index]):
                    continue
                now = matches.place[index]
                gaps = gap - (pool[fits] - pool[now]) / own.size
                best = int(np.argmin((gaps**2).sum(axis=1)))
                if (gaps[best] ** 2).sum() < (gap**2).sum() - 1e-12:
                    gap, matches.place[index] = gaps[best], fits[best]
                    self.free[position[now]], self.free[position[fits[best]]] = True, False


def _standardised(
    target: NDArray[np.float64], pool: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both in standard deviations of the target around its mean; a missing score counts as the mean."""
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without any score is all zero below
        mean, deviation = np.nanmean(target, axis=0), np.nanstd(target, axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return np.nan_to_num((target - mean) / deviation), np.nan_to_num((pool - mean) / deviation)


def _nearest_free(free: NDArray[np.bool_], logits: NDArray[np.float64], wanted: float) -> int:
    """The free place whose logit is nearest, -1 if none is free; `logits` increase."""
    middle = int(np.searchsorted(logits, wanted))
    width = 64
    while True:
        start, end = max(0, middle - width), min(logits.size, middle + width)
        inside = np.flatnonzero(free[start:end]) + start
        # The nearest one is in a window for certain only if that holds a free place on either side, or is everything.
        if (start == 0 or (inside.size and inside[0] < middle)) and (
            end == logits.size or (inside.size and inside[-1] >= middle)
        ):
            break
        width *= 4
    if not inside.size:
        return -1
    return int(inside[np.argmin(np.abs(logits[inside] - wanted))])
