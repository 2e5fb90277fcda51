"""Which image takes the place of which: from the outcomes alone, never from the order in which files arrived."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bamkit.common.contract import SPLITS
from bamkit.curate.fetch.splits.manifest import Manifest, Rows

KEPT = tuple(split for split in SPLITS if split != "reserve")
HAD, LOST, UNKNOWN = 1, 0, -1
States = NDArray[np.int8]
"""Of each row of a manifest: HAD for a picture that is there, LOST for one that cannot be had, UNKNOWN if not asked."""


@dataclass(frozen=True)
class Places:
    """The places of one split, in order of rank."""

    rows: Rows
    """The row of the manifest in each place, ascending."""
    instead: Rows
    """The row that it stands in for; -1 where it has its own place."""

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Assignment:
    """What goes where."""

    splits: dict[str, Places]
    """For train, test and validation (those the manifest has)."""
    missing: Places
    """The rows that could not be had, each with the row that stands in for it (`instead`), -1 where none does."""


def wanted(manifest: Manifest, states: States, replace: bool) -> Rows:
    """The rows to ask for next: first those of the splits themselves, then as much of the reserve as is needed.

    None means that the assignment is final.
    """
    reserve = manifest.split == SPLITS.index("reserve")
    asked = np.flatnonzero(~reserve & (states == UNKNOWN))
    if asked.size or not replace:
        return asked
    gaps = np.count_nonzero(~reserve & (states == LOST))
    hopeful = np.flatnonzero(reserve & (states != LOST))[:gaps]
    return np.asarray(hopeful[states[hopeful] == UNKNOWN])


def assign(manifest: Manifest, states: States, replace: bool) -> Assignment:
    """Fill the places of images that cannot be had from the reserve, in order of rank: train, then test, validation."""
    spare = manifest.rows("reserve")
    spare = spare[states[spare] == HAD] if replace else spare[:0]
    stands_in = np.full(len(manifest), -1, np.int64)
    splits = {}
    for split in KEPT:
        rows = manifest.rows(split)
        if not rows.size:
            continue
        here = rows[states[rows] == HAD]
        gaps = rows[states[rows] != HAD]
        taken, spare = spare[: gaps.size], spare[gaps.size :]
        gaps = gaps[: taken.size]
        stands_in[gaps] = taken
        both = np.concatenate([here, taken])
        order = np.argsort(both, kind="stable")
        splits[split] = Places(both[order], np.concatenate([np.full(here.size, -1), gaps])[order])
    missing = np.flatnonzero(states == LOST)
    return Assignment(splits, Places(missing, stands_in[missing]))
