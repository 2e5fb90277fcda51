"""Which images are the same, or nearly so, or from one project: what a judge must not have been trained on."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bamkit.common.errors import BamkitError
from bamkit.common.near_duplicates import linked_groups, near_any, near_pairs, parse_hashes
from bamkit.common.provenance import canonical

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTS = ("fit", "calibrate", "held out")
SHARES = (0.6, 0.15, 0.25)


def shared(rows: pa.Table, known: pa.Table) -> dict[str, np.ndarray]:
    """For each reason, which of `rows` are in `known`: (n,) bool by `same image`, `near-duplicate`, `same project`.

    Both tables have `mid` and `project_id`, and may have `original_sha256` and `phash`. Every row counts under the
    first reason that applies. Null projects are no project.
    """
    counted = np.zeros(rows.num_rows, dtype=bool)
    reasons = {}
    same = _member(rows, known, "mid") | _member(rows, known, "original_sha256")
    near = np.zeros_like(counted)
    if "phash" in rows.column_names and "phash" in known.column_names:
        places, hashes = _hashes(rows)
        near[places] = near_any(hashes, _hashes(known)[1])
    for reason, mask in (
        ("same image", same),
        ("near-duplicate", near),
        ("same project", _member(rows, known, "project_id")),
    ):
        reasons[reason] = mask & ~counted
        counted |= mask
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
    for index, mid in zip(group.tolist(), mids, strict=True):
        smallest[index] = min(mid, smallest.get(index, mid))
    order = sorted(smallest, key=lambda g: hashlib.sha256(canonical([seed, smallest[g]]).encode()).digest())
    sizes = np.bincount(group, minlength=len(mids))
    ends, part_of, taken, part = np.cumsum(SHARES) * len(mids), {}, 0, 0
    for index in order:
        while part < len(PARTS) - 1 and taken >= ends[part]:
            part += 1
        part_of[index] = part
        taken += int(sizes[index])
    return np.array([part_of[index] for index in group.tolist()], dtype=int)


def _groups(rows: pa.Table) -> NDArray[np.int64]:
    """(n,) a group number a row: rows of one project, or with near hashes, are linked."""
    first: dict[int, int] = {}
    projects = enumerate(rows["project_id"].to_pylist())
    links = [(first.setdefault(project, row), row) for row, project in projects if project is not None]
    left, right = np.array(links, np.int64).reshape(-1, 2).T
    if "phash" in rows.column_names:
        places, hashes = _hashes(rows)
        i, j, _ = near_pairs(hashes)
        left, right = np.concatenate([left, places[i]]), np.concatenate([right, places[j]])
    return linked_groups(rows.num_rows, left, right)


def _hashes(rows: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """`parse_hashes` of the column phash. Raises BamkitError naming the image whose hash is none."""
    texts = rows["phash"].to_pylist()
    try:
        return parse_hashes(texts)
    except ValueError as error:
        mid = rows["mid"][error.args[0]].as_py()
        raise BamkitError(
            f"image {mid}: {texts[error.args[0]]!r} is no perceptual hash (16 hexadecimal digits)",
            "delete the split it is in, and bamkit fetch builds it anew",
        ) from error
