"""Which images are the same, or nearly so, or from one project: what a judge must not have seen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from bamkit.common.provenance import canonical

NEAR = 4
"""Perceptual hashes (64 bits) that differ in at most this many bits are near-duplicates."""
PARTS = ("fit", "calibrate", "held out")
SHARES = (0.6, 0.15, 0.25)


def near_duplicates(hashes: Sequence[str | None], known: Sequence[str | None], bits: int = NEAR) -> np.ndarray:
    """(n,) bool: whether each perceptual hash (16 hex digits or None) lies within `bits` of one of `known`."""
    known_words = np.unique(_words(known)[_present(known)])
    words, found = _words(hashes), np.zeros(len(hashes), dtype=bool)
    step = max(1, 500_000 // max(1, len(known_words)))
    for start in range(0, len(words), step):
        differing = words[start : start + step, None] ^ known_words[None]
        found[start : start + step] = (_popcount(differing) <= bits).any(axis=1)
    return found & _present(hashes)


def _present(hashes: Sequence[str | None]) -> np.ndarray:
    return np.array([bool(one) for one in hashes], dtype=bool)


def _words(hashes: Sequence[str | None]) -> np.ndarray:
    return np.array([int(one, 16) if one else 0 for one in hashes], dtype=np.uint64)


def _popcount(words: np.ndarray) -> np.ndarray:
    """Bits set in each uint64: the usual pairwise sums (numpy has its own only since 2.0)."""
    one, two, four = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
    words = words - ((words >> np.uint64(1)) & one)
    words = (words & two) + ((words >> np.uint64(2)) & two)
    words = (words + (words >> np.uint64(4))) & four
    return (words * np.uint64(0x0101010101010101)) >> np.uint64(56)


def shared(rows: pa.Table, known: pa.Table) -> dict[str, np.ndarray]:
    """For each reason, which of `rows` are in `known`: (n,) bool by `same image`, `near-duplicate`, `same project`.

    Both tables have `mid` and `project_id`, and may have `original_sha256` and `phash`. Every row counts under the
    first reason that applies. Null projects are no project.
    """
    found = np.zeros(rows.num_rows, dtype=bool)
    reasons = {}
    same = _member(rows, known, "mid") | _member(rows, known, "original_sha256")
    near = np.zeros_like(found)
    if "phash" in rows.column_names and "phash" in known.column_names:
        near = near_duplicates(rows["phash"].to_pylist(), known["phash"].to_pylist())
    for reason, mask in (
        ("same image", same),
        ("near-duplicate", near),
        ("same project", _member(rows, known, "project_id")),
    ):
        reasons[reason] = mask & ~found
        found |= mask
    return reasons


def _member(rows: pa.Table, known: pa.Table, column: str) -> np.ndarray:
    if column not in rows.column_names or column not in known.column_names:
        return np.zeros(rows.num_rows, dtype=bool)
    values = set(known[column].to_pylist()) - {None}
    return np.array([value in values for value in rows[column].to_pylist()], dtype=bool)


def parts(rows: pa.Table, seed: int = 0) -> np.ndarray:
    """(n,) index into PARTS for every row, about SHARES of them: fit, calibrate, held out.

    No project and no near-duplicates are torn apart: groups are chained through shared projects and near hashes, and a
    group's part depends on the seed and its smallest mid alone.
    """
    group = _groups(rows)
    mids = rows["mid"].to_pylist()
    smallest: dict[int, int] = {}
    for index, mid in zip(group, mids, strict=True):
        smallest[index] = min(mid, smallest.get(index, mid))
    order = sorted(smallest, key=lambda g: hashlib.sha256(canonical([seed, smallest[g]]).encode()).digest())
    sizes = np.bincount(group, minlength=len(mids))
    ends, part_of, taken, part = np.cumsum(SHARES) * len(mids), {}, 0, 0
    for one in order:
        while part < len(PARTS) - 1 and taken >= ends[part]:
            part += 1
        part_of[one] = part
        taken += int(sizes[one])
    return np.array([part_of[one] for one in group], dtype=int)


def _groups(rows: pa.Table) -> list[int]:
    """A group number a row: union-find over projects and near-duplicate hashes."""
    n = rows.num_rows
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[int, int] = {}
    for i, project in enumerate(rows["project_id"].to_pylist()):
        if project is not None:
            parent[root(i)] = root(first.setdefault(project, i))
    if "phash" in rows.column_names:
        hashes = rows["phash"].to_pylist()
        present = np.flatnonzero(_present(hashes))
        words = _words(hashes)[present]
        for position, i in enumerate(present):
            close = _popcount(words[position + 1 :] ^ words[position]) <= NEAR
            for j in present[position + 1 :][close]:
                parent[root(int(j))] = root(int(i))
    return [root(i) for i in range(n)]
