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
BLOCK = 256
"""Candidates of which the best rank is kept together."""
TAKEN = np.iinfo(np.int64).max
"""Stands for the rank of a candidate that is not free."""
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


class _Alike:
    """The free candidates that share their coarse labels, by propensity; which of those in a window rank best.

    The best rank of each run of BLOCK candidates is kept, so that a window of any width is looked through in few steps.
    """

    def __init__(self, logits: NDArray[np.float64], ranks: NDArray[np.int64]) -> None:
        """`logits`: ascending; `ranks`: the candidates' places in the pool."""
        self.logits, self.ranks = logits, ranks
        self.lowest = np.minimum.reduceat(ranks, np.arange(0, ranks.size, BLOCK))

    def window(self, wanted: float, reach: float) -> tuple[int, int]:
        start = np.searchsorted(self.logits, wanted - reach, side="left")
        return int(start), int(np.searchsorted(self.logits, wanted + reach, side="right"))

    def best(self, window: tuple[int, int], count: int) -> NDArray[np.int64]:
        """At most `count` of the free candidates of a window, best rank first."""
        start, end = window
        first, last = -(-start // BLOCK), end // BLOCK
        if last - first <= count:
            found = self.ranks[start:end]
        else:
            # Each of the best lies in one of so many blocks, or at an edge of the window.
            blocks = first + np.argpartition(self.lowest[first:last], count)[:count]
            inside = [self.ranks[block * BLOCK : (block + 1) * BLOCK] for block in blocks.tolist()]
            found = np.concatenate([self.ranks[start : first * BLOCK], *inside, self.ranks[last * BLOCK : end]])
        found = np.partition(found, count)[:count] if found.size > count else found
        return np.sort(found[found < TAKEN])

    def put(self, place: int, rank: int) -> None:
        """Give the candidate at `place` its rank back, or TAKEN."""
        self.ranks[place] = rank
        block = place // BLOCK
        self.lowest[block] = self.ranks[block * BLOCK : (block + 1) * BLOCK].min()


class _Free:
    """Some of the candidates: which of them are free, in the order of their propensity and by their labels."""

    def __init__(self, logits: NDArray[np.float64], labels: NDArray[np.int64], members: NDArray[np.bool_]) -> None:
        """`logits` and `labels` of the whole pool, best rank first; `members`: which of it these are."""
        self.order = np.argsort(logits, kind="stable")  # places in the pool, which are ranks
        self.logits, self.free = logits[self.order], members[self.order]
        self.position = np.empty(logits.size, np.int64)
        self.position[self.order] = np.arange(logits.size)
        self.labels, self.members = labels, members
        own = self.order[self.free]
        by_label = np.argsort(labels[own], kind="stable")
        names, starts = np.unique(labels[own][by_label], return_index=True)
        self.place = np.full(logits.size, -1, np.int64)
        self.alike: dict[int, _Alike] = {}
        # Where there are no members, split gives one part all the same.
        for name, ranks in zip(names.tolist(), np.split(own[by_label], starts[1:]), strict=False):
            self.alike[name] = _Alike(logits[ranks], ranks)
            self.place[ranks] = np.arange(ranks.size)

    def take(self, rank: int, free: bool = False) -> None:
        """One candidate is no longer free, or free again; nothing where it is none of these."""
        if self.members[rank]:
            self.free[self.position[rank]] = free
            self.alike[int(self.labels[rank])].put(int(self.place[rank]), rank if free else TAKEN)

    def best(self, label: int, wanted: float, reach: float, count: int = 1) -> NDArray[np.int64]:
        """The best free candidates with these labels within `reach` of a logit, at most `count`, best rank first."""
        alike = self.alike.get(label)
        return np.zeros(0, np.int64) if alike is None else alike.best(alike.window(wanted, reach), count)

    def nearest_alike(self, label: int, wanted: float, reach: float) -> int:
        """The free candidate with these labels nearest to a logit, -1 if none lies within `reach`."""
        alike = self.alike.get(label)
        if alike is None:
            return -1
        start, end = alike.window(wanted, reach)
        at = _nearest_free(alike.ranks[start:end] < TAKEN, alike.logits[start:end], wanted)
        if at < 0:
            return -1
        first = int(np.searchsorted(alike.logits, alike.logits[start + at]))  # of those as near
        free = alike.ranks[max(start, first) : start + at + 1]
        return int(free[free < TAKEN][0])

    def nearest(self, wanted: float) -> int:
        """The free candidate nearest to a logit, -1 if none is free."""
        at = _nearest_free(self.free, self.logits, wanted)
        return int(self.order[at]) if at >= 0 else -1


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
        self.there, self.there_labels = there, there_labels
        every = np.ones(there.size, dtype=bool)
        self.positive = every if positive is None else positive
        self.every = _Free(there, there_labels, every)
        self.positives = self.every if self.positive.all() else _Free(there, there_labels, self.positive)
        self.others = there.size if others is None else others
        self.caliper = CALIPER * float(np.concatenate([wanted, there]).std())

    def run(self, unbounded: int | None = None) -> Matches:
        """One row of the pool for each anchor, none twice, in the order of the anchors; the bound on candidates that
        are not positive holds for all anchors before the one numbered `unbounded` (None: for all)."""
        n = self.wanted.size
        matches = Matches(np.full(n, -1, np.int64), np.zeros(n, bool), np.zeros(n, bool))
        remaining = self.others
        for index in range(n):
            bounded = unbounded is None or index < unbounded
            choice = self._choose(index, self.positives if bounded and remaining <= 0 else self.every)
            if choice < 0:
                break
            self._take(choice)
            matches.place[index] = choice
            remaining -= not self.positive[choice]
            matches.exact[index] = self.there_labels[choice] == self.labels[index]
            matches.close[index] = abs(self.there[choice] - self.wanted[index]) <= self.caliper
        return matches

    def _choose(self, index: int, free: _Free) -> int:
        label, wanted = int(self.labels[index]), float(self.wanted[index])
        if (best := free.best(label, wanted, self.caliper)).size:
            return int(best[0])
        like = free.nearest_alike(label, wanted, WIDE * self.caliper)
        return like if like >= 0 else free.nearest(wanted)

    def _take(self, rank: int, free: bool = False) -> None:
        self.every.take(rank, free)
        if self.positives is not self.every:
            self.positives.take(rank, free)

    def refine(
        self, matches: Matches, homes: NDArray[np.int64], target: NDArray[np.float64], pool: NDArray[np.float64]
    ) -> None:
        """Exchange images for others that fit their anchor as well, where that brings the split's mean scores closer.

        At most two rounds over the anchors of a split, until all means lie within half of what is called balanced; each
        looks at the 50 best ranks that fit. Where too few candidates resemble the target, means would be bought with
        odd images: such a split stays as it is. `target` are the features of the anchors, `pool` of the candidates.
        """
        target, pool = _standardised(target, pool)
        for home in range(len(SPLITS) - 1):
            own = np.flatnonzero((homes == home) & (matches.place >= 0))
            if not own.size or (matches.close | matches.exact)[own].mean() < FEASIBLE:
                continue
            gap = target[own].mean(axis=0) - pool[matches.place[own]].mean(axis=0)
            for index in [*own, *own]:
                if np.abs(gap).max() < BALANCED / 2:
                    break
                if not (matches.exact[index] and matches.close[index]):
                    continue
                now = int(matches.place[index])
                among = self.positives if self.positive[now] else self.every
                fits = among.best(int(self.labels[index]), float(self.wanted[index]), self.caliper, REFINED)
                if not fits.size:
                    continue
                gaps = gap - (pool[fits] - pool[now]) / own.size
                best = int(np.argmin((gaps**2).sum(axis=1)))
                if (gaps[best] ** 2).sum() < (gap**2).sum() - 1e-12:
                    gap, matches.place[index] = gaps[best], fits[best]
                    self._take(now, free=True)
                    self._take(int(fits[best]))


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
