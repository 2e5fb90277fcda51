"""What changed between two selections: images, splits, and each attribute with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bamkit.common.contract import ATTRIBUTES, SPLITS
from bamkit.common.errors import BamkitError
from bamkit.common.shards import read_table
from bamkit.common.statistics import difference_of_proportions, wilson
from bamkit.common.workspace import Workspace
from bamkit.curate.select.manifest import read_selection

if TYPE_CHECKING:
    import pyarrow as pa

RESAMPLES = 2000


@dataclass(frozen=True)
class Diff:
    """Selection B against selection A."""

    added: tuple[int, ...]
    """mids of B that A does not have, in B's order."""
    removed: tuple[int, ...]
    """mids of A that B does not have, in A's order."""
    kept: tuple[int, ...]
    """mids of both, in A's order."""
    moved: dict[tuple[str, str], int]
    """(split in A, split in B) -> kept images that changed their split."""
    changed: dict[str, int]
    """Column -> kept images whose value differs (rank and split left out): the database itself changed."""
    attributes: tuple[dict[str, Any], ...]
    """One row an attribute: share of positives in A and in B and mean score in A and in B, each with n, the shift B - A
    and its interval."""

    @property
    def same(self) -> bool:
        """Whether both hold the same images in the same splits with the same values."""
        return not (self.added or self.removed or self.moved or self.changed)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {
            "added": list(self.added),
            "removed": list(self.removed),
            "kept": len(self.kept),
            "moved": [{"from": a, "to": b, "images": n} for (a, b), n in sorted(self.moved.items())],
            "changed": self.changed,
            "attributes": [dict(row) for row in self.attributes],
        }


def diff_named(workspace: Workspace, a: str, b: str, split: str | None = None) -> Diff:
    """Compare two selections of the workspace, or parquet files with the manifest's columns."""
    left, right = _rows(workspace, a), _rows(workspace, b)
    if split:
        left, right = _of_split(left, split), _of_split(right, split)
    return diff(left, right)


def diff(a: pa.Table, b: pa.Table, confidence: float = 0.95, seed: int = 0) -> Diff:
    """Compare two tables with the manifest's columns.

    The intervals of the shifts of a mean score come from a bootstrap over the images of both (RESAMPLES times): an
    image that is in both selections counts in both or in neither, so what they share does not widen the interval. Those
    of the shifts of a share are Newcombe's.
    """
    mids_a, mids_b = a.column("mid").to_pylist(), b.column("mid").to_pylist()
    in_a, in_b = set(mids_a), set(mids_b)
    kept = [mid for mid in mids_a if mid in in_b]
    splits_a = dict(zip(mids_a, a.column("split").to_pylist(), strict=True))
    splits_b = dict(zip(mids_b, b.column("split").to_pylist(), strict=True))
    moved: dict[tuple[str, str], int] = {}
    for mid in kept:
        if splits_a[mid] != splits_b[mid]:
            pair = (splits_a[mid], splits_b[mid])
            moved[pair] = moved.get(pair, 0) + 1
    return Diff(
        added=tuple(mid for mid in mids_b if mid not in in_a),
        removed=tuple(mid for mid in mids_a if mid not in in_b),
        kept=tuple(kept),
        moved=moved,
        changed=_changed(a, b, kept),
        attributes=tuple(_shifts(a, b, confidence, seed)),
    )


def _rows(workspace: Workspace, name: str) -> pa.Table:
    """A selection by name or by file."""
    path = Path(name)
    if path.suffix != ".parquet":
        return read_selection(workspace, name).table
    if not path.is_file():
        raise BamkitError(f"there is no file {path}")
    from bamkit.common.contract import selection_schema

    wanted = selection_schema().names
    return read_table(path, wanted)


def _of_split(rows: pa.Table, split: str) -> pa.Table:
    import pyarrow.compute as pc

    if split not in SPLITS:
        raise BamkitError(f"there is no split {split!r}", f"the splits are {', '.join(SPLITS)}")
    return rows.filter(pc.equal(rows.column("split"), split))


def _changed(a: pa.Table, b: pa.Table, kept: Sequence[int]) -> dict[str, int]:
    """Columns whose value differs for images of both."""
    place_a = {mid: i for i, mid in enumerate(a.column("mid").to_pylist())}
    place_b = {mid: i for i, mid in enumerate(b.column("mid").to_pylist())}
    found = {}
    for name in a.column_names:
        # `score` repeats the ranked attribute's column, which may be another one in each.
        if name in ("rank", "split", "score", "mid"):
            continue
        left, right = a.column(name).to_pylist(), b.column(name).to_pylist()
        different = sum(left[place_a[mid]] != right[place_b[mid]] for mid in kept)
        if different:
            found[name] = different
    return found


def _shifts(a: pa.Table, b: pa.Table, confidence: float, seed: int) -> list[dict[str, Any]]:
    """One row an attribute."""
    shares = [(_positive(a, name), _positive(b, name)) for name in ATTRIBUTES]
    scores = [(_scores(a, name), _scores(b, name)) for name in ATTRIBUTES]
    draws = _draws(a, b, seed)
    rows = []
    for name, (share_a, share_b), (score_a, score_b) in zip(ATTRIBUTES, shares, scores, strict=True):
        row: dict[str, Any] = {"attribute": name}
        for side, values in (("a", share_a), ("b", share_b)):
            known = values[~np.isnan(values)]
            share = wilson(int(known.sum()), len(known), confidence)
            row |= {
                f"positive_{side}": share.value if len(known) else None,
                f"positive_{side}_low": share.low if len(known) else None,
                f"positive_{side}_high": share.high if len(known) else None,
                f"n_{side}": len(known),
            }
        row |= _share_shift(share_a, share_b, confidence)
        for side, values in (("a", score_a), ("b", score_b)):
            known = values[~np.isnan(values)]
            row[f"score_{side}"] = float(known.mean()) if len(known) else None
        row |= _interval("score_shift", score_a, score_b, draws, confidence)
        rows.append(row)
    return rows


def _share_shift(a: np.ndarray, b: np.ndarray, confidence: float) -> dict[str, float | None]:
    """The shift of the share of positives from a to b and Newcombe's interval.

    It takes the two as independent; where they share images the true interval is narrower, never wider.
    """
    known_a, known_b = a[~np.isnan(a)], b[~np.isnan(b)]
    if not len(known_a) or not len(known_b):
        return {"positive_shift": None, "positive_shift_low": None, "positive_shift_high": None}
    shift = difference_of_proportions(int(known_b.sum()), len(known_b), int(known_a.sum()), len(known_a), confidence)
    return {"positive_shift": shift.value, "positive_shift_low": shift.low, "positive_shift_high": shift.high}


def _draws(a: pa.Table, b: pa.Table, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each image is drawn in each resample: two int64 arrays (RESAMPLES, rows of a) and (…, rows of b)."""
    mids_a, mids_b = a.column("mid").to_numpy(), b.column("mid").to_numpy()
    union = np.union1d(mids_a, mids_b)
    if not len(union):
        return np.zeros((RESAMPLES, 0)), np.zeros((RESAMPLES, 0))
    random = np.random.default_rng(seed)
    weights = random.poisson(1.0, (RESAMPLES, len(union))).astype(np.float32)
    return weights[:, np.searchsorted(union, mids_a)], weights[:, np.searchsorted(union, mids_b)]


def _interval(
    name: str, a: np.ndarray, b: np.ndarray, draws: tuple[np.ndarray, np.ndarray], confidence: float
) -> dict[str, float | None]:
    """The shift of the mean from a to b and its percentile interval."""
    known_a, known_b = ~np.isnan(a), ~np.isnan(b)
    if known_a.sum() < 2 or known_b.sum() < 2:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    means = [
        (drawn[:, known] @ values[known]) / np.maximum(drawn[:, known].sum(axis=1), 1)
        for drawn, values, known in ((draws[0], a, known_a), (draws[1], b, known_b))
    ]
    low, high = np.quantile(means[1] - means[0], [(1 - confidence) / 2, (1 + confidence) / 2])
    shift = float(b[known_b].mean() - a[known_a].mean())
    return {name: shift, f"{name}_low": float(low), f"{name}_high": float(high)}


def _positive(rows: pa.Table, attribute: str) -> np.ndarray:
    """float64 (n,): 1 for positive, 0 for another label, NaN for none."""
    labels = rows.column(attribute).to_pylist()
    return np.array([np.nan if label is None else float(label == "positive") for label in labels], np.float64)


def _scores(rows: pa.Table, attribute: str) -> np.ndarray:
    """float64 (n,): the attribute's scores, NaN for none."""
    values = rows.column(f"{attribute}_score").to_pylist()
    return np.array([np.nan if value is None else value for value in values], np.float64)
