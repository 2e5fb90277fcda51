"""Near-duplicate pictures by their perceptual hashes: at most DISTANCE bits apart.

For `bamkit check` and the report these are candidates, compared closely by pictures.altered_copies; the judge,
which keeps hashes only, leaves all of them out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DISTANCE = 6
"""Bits of 64 in which the perceptual hashes of near-duplicates may differ."""


def parse_hashes(texts: Sequence[str | None]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Which of `texts` are there (their places, ascending), and these as numbers.

    Raises ValueError naming the place of a text that is not 16 hexadecimal digits. None is no hash.
    """
    places = [place for place, text in enumerate(texts) if text is not None]
    for place in places:
        if not re.fullmatch(r"[0-9a-fA-F]{16}", str(texts[place])):
            raise ValueError(place)
    return np.array(places, np.int64), np.array([int(str(texts[place]), 16) for place in places], np.uint64)


def near_pairs(
    hashes: NDArray[np.uint64], distance: int = DISTANCE
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """All pairs i < j of `hashes` (uint64, one a picture) at most `distance` bits apart, with their distance.

    Two hashes that differ in d bits differ in at most d / b of them in one of b bands of bits: only those that do are
    compared (multi-index hashing, Norouzi, Punjani and Fleet 2012). Of a run of equal hashes each is paired with the
    first, which links them just as well as all pairs would.
    """
    unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[inverse] != np.arange(hashes.size))
    left, right = [first[inverse[repeated]]], [repeated]
    apart = [np.zeros(repeated.size, dtype=np.int64)]
    for i, j, bits in _banded(unique, distance):
        left.append(np.minimum(first[i], first[j]))
        right.append(np.maximum(first[i], first[j]))
        apart.append(bits)
    i, j, bits = (np.concatenate(part) for part in (left, right, apart))
    _, kept = np.unique(i * hashes.size + j, return_index=True)
    return i[kept], j[kept], bits[kept]


def _banded(
    hashes: NDArray[np.uint64], distance: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    bands = max(4, distance // 2 + 1)
    for band in range(bands):
        low, high = 64 * band // bands, 64 * (band + 1) // bands
        keys = ((hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)).astype(np.int64)
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], hashes[order]
        sizes = np.bincount(keys, minlength=1 << (high - low))
        ends = np.cumsum(sizes)
        # Bands of equal bits first; then, if a band may differ in one, those that differ in each of its bits.
        for flipped in [0, *(1 << bit for bit in range(high - low))] if distance >= bands else [0]:
            i = np.arange(keys.size) if flipped == 0 else np.flatnonzero(keys & flipped == 0)
            j, end = (
                (i + 1, ends[keys]) if flipped == 0 else ((ends - sizes)[keys[i] ^ flipped], ends[keys[i] ^ flipped])
            )
            while (inside := j < end).any():
                i, j, end = i[inside], j[inside], end[inside]
                bits = np.bitwise_count(values[i] ^ values[j]).astype(np.int64)
                close = bits <= distance
                yield order[i[close]], order[j[close]], bits[close]
                j = j + 1


def near_any(hashes: NDArray[np.uint64], known: NDArray[np.uint64], distance: int = DISTANCE) -> NDArray[np.bool_]:
    """(n,) bool: whether each hash lies within `distance` bits of one of `known`; half a million pairs at a time."""
    known = np.unique(known)
    near = np.zeros(hashes.size, dtype=bool)
    step = max(1, 500_000 // max(1, known.size))
    for start in range(0, hashes.size, step):
        differing = hashes[start : start + step, None] ^ known[None]
        near[start : start + step] = (np.bitwise_count(differing) <= distance).any(axis=1)
    return near


def linked_groups(n: int, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) the group of each item, when the items `left[k]` and `right[k]` are linked: the connected components."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(left.size, np.int8), (left, right)), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)
