"""Copies of a picture that its perceptual hash misses: cropped, mirrored, recoloured, marked or altered in part.

Two pictures are compared by their edge maps: where a small copy changes, whatever its colours. Maps that correlate are
of one drawing, also where one of them is mirrored or has lost up to 5 % at its sides. Where a part was painted over,
the colours of all that is drawn, but that part, are still the same. The thresholds were set on 1,275 pieces of real
artwork; docs/curate.md has the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bamkit.common.pictures.feature_store import FeatureStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    SmallCopies: TypeAlias = NDArray[np.uint8] | FeatureStore

SIDE = 64
"""Pixels of a small copy's side; (n, 64, 64, 3) uint8 is what all functions here take. Those that look for pairs also
take a store of (n, 64 * 64 * 3)."""
COARSE, FINE = 16, 32
"""Cells of an edge map's side, when candidates are looked for and when they are compared."""
CUT = 0.05
"""The share of a side that a crop may have taken."""
VIEWS = 6
"""In how many ways a coarse edge map is looked at: three crops, plain and mirrored."""
CANDIDATE = 0.75
"""Correlation of coarse edge maps from which on two pictures are compared closely."""
SAME_EDGES = 0.9
"""Correlation of fine edge maps from which on two pictures show one drawing."""
SAME_COLOURS, LIKE_EDGES = 0.65, 0.5
"""The share of what is drawn that has the same colours, and the correlation, from which on a part was altered."""
PAIRS = 1000
"""Pairs that are compared closely at a time: each takes some 50 kB."""
TOLERANCE = 12
"""Levels of 255 in which the same colour may differ after encoding."""


def small_copy_of(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 -> (64, 64, 3) uint8: the whole picture squashed to a square, in colour."""
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BOX))


def coarse_views(copies: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(VIEWS, n, COARSE squared): coarse edge maps as unit vectors, whole and cropped, plain and mirrored.

    The first view is the whole picture as it is. A product of two vectors is the correlation of the maps.
    """
    edges, found = edge_maps(copies), []
    for cut, mirrored in product((0.0, 0.6 * CUT, CUT), (False, True)):
        part = (cut, 1 - cut)
        found.append(_unit(_view(edges, COARSE, part, part, mirrored)))
    return np.stack(found)


def fine_maps(copies: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, FINE squared): the edge maps of whole pictures as unit vectors; a picture without edges is all zeros."""
    return _unit(_view(edge_maps(copies), FINE))


def candidate_pairs(copies: SmallCopies, block: int = 2048) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs i < j whose coarse edge maps correlate, plain, mirrored, or with one of the two cropped.

    Compares all pairs: time grows with n squared. The maps lie on disk: memory holds those of two blocks of pictures.
    """
    views = FeatureStore(VIEWS * COARSE**2)
    for start in range(0, len(copies), 512):
        maps = coarse_views(_pictures(copies, slice(start, start + 512)))
        views.append(np.moveaxis(maps, 0, 1).reshape(maps.shape[1], -1))
    found = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(copies), block):
        rows = np.ascontiguousarray(views[start : start + block][:, : COARSE**2])
        for other in range(0, len(copies), block):
            columns = views[other : other + block].reshape(-1, VIEWS, COARSE**2)
            alike = np.zeros((len(rows), len(columns)), dtype=bool)
            # The first two views, plain and mirrored, are as alike from either side.
            for view in range(0 if other >= start else 2, VIEWS):
                alike |= rows @ columns[:, view].T >= CANDIDATE
            pairs = np.sort(np.argwhere(alike) + np.array((start, other)), axis=1)
            found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    left, right = np.unique(np.concatenate(found), axis=0).T
    return left, right


def are_copies(copies: SmallCopies, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(len(left),) bool: whether the pictures left[k] and right[k] show one drawing; see the head of this module.

    A picture in which nothing is drawn is a copy of those that have its colours everywhere.
    """
    same = np.zeros(len(left), dtype=bool)
    for start in range(0, len(left), PAIRS):
        pairs = np.stack([left[start : start + PAIRS], right[start : start + PAIRS]])
        involved, places = np.unique(pairs, return_inverse=True)
        these, others = places.reshape(pairs.shape)
        same[start : start + PAIRS] = _are_copies(_pictures(copies, involved), these, others)
    return same


def _pictures(copies: SmallCopies, rows: Any) -> NDArray[np.uint8]:
    return np.asarray(copies[rows]).reshape(-1, SIDE, SIDE, 3)


def _are_copies(copies: NDArray[np.uint8], left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
    edges = edge_maps(copies)
    plain = _view(edges, FINE)
    colours = copies.reshape(len(copies), FINE, SIDE // FINE, FINE, SIDE // FINE, 3).mean((2, 4), dtype=np.float32)
    peak = plain.max((1, 2), keepdims=True)
    drawn = plain**2 > np.maximum(8, 0.15 * peak**2)
    maps = _unit(plain)
    best = np.full(len(left), -1.0)
    for these, others in ((left, right), (right, left)):
        for i in np.unique(these):
            here = np.flatnonzero(these == i)
            correlations = _all_views(edges[i]) @ maps[others[here]].T
            best[here] = np.maximum(best[here], correlations.max(axis=0))
    same = np.abs(colours[left] - colours[right]).max(axis=-1) <= TOLERANCE
    either = drawn[left] | drawn[right]
    shared = (same & either).sum((1, 2)) / np.maximum(1, either.sum((1, 2)))
    empty = ~either.any((1, 2))
    alike: NDArray[np.bool_] = (best >= SAME_EDGES) | ((shared >= SAME_COLOURS) & (best >= LIKE_EDGES))
    return np.where(empty, same.mean((1, 2)) >= 0.98, alike)


def edge_maps(copies: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 64, 64): the length of the gradient over all three channels, by central differences."""
    maps = np.empty(copies.shape[:3], np.float32)
    for place, copy in enumerate(copies.astype(np.int16)):
        down, across = np.zeros((2, *copy.shape), np.float32)
        down[1:-1] = copy[2:] - copy[:-2]
        across[:, 1:-1] = copy[:, 2:] - copy[:, :-2]
        maps[place] = np.sqrt((down**2 + across**2).sum(axis=-1))
    return maps


def _view(
    edges: NDArray[np.float32],
    cells: int,
    rows: tuple[float, float] = (0.0, 1.0),
    columns: tuple[float, float] = (0.0, 1.0),
    mirrored: bool = False,
) -> NDArray[np.float32]:
    """(..., cells, cells): the square root of the mean edge in equal cells of a part of (..., 64, 64) maps."""
    view = np.sqrt(_averages(cells, *rows) @ edges @ _averages(cells, *columns).T)
    return view[..., ::-1] if mirrored else view


@cache
def _averages(cells: int, low: float, high: float) -> NDArray[np.float32]:
    """(cells, 64): weights that average 64 pixels over equal cells of the part from `low` to `high` (of 1)."""
    ends = np.linspace(low * SIDE, high * SIDE, cells + 1)
    pixels = np.arange(SIDE)
    covered = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
    weights: NDArray[np.float32] = (np.maximum(0, covered) / np.diff(ends)[:, None]).astype(np.float32)
    return weights


def _all_views(edges: NDArray[np.float32]) -> NDArray[np.float32]:
    """(views, cells squared): one map with up to CUT gone at each side, plain and mirrored, as unit vectors."""
    return _unit(np.stack(list(_crops(edges))))


def _crops(edges: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    cuts = [*product((0.0, CUT), repeat=4), (CUT / 2,) * 4]
    for (top, bottom, left, right), mirrored in product(cuts, (False, True)):
        yield _view(edges, FINE, (top, 1 - bottom), (left, 1 - right), mirrored)


def _unit(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, cells squared): each map as a vector of mean 0 and length 1, so that products are correlations."""
    vectors = maps.reshape(len(maps), maps.shape[-1] ** 2)
    vectors = vectors - vectors.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, 1e-6)
    return unit
