"""What changed between two selections: images, splits, and each attribute with an interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bamkit.common.contract import ATTRIBUTES, SPLITS, selection_schema
from bamkit.common.errors import BamkitError
from bamkit.common.shards import read_table
from bamkit.common.statistics import difference_of_proportions, wilson
from bamkit.common.workspace import Workspace
from bamkit.curate.select.manifest import read_selection

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

RESAMPLES = 2000
PLACE = ("rank", "split", "score")
"""Columns that say where an image stands in a selection; `score` repeats the ranked attribute's, which may be another
one in each."""


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
    rows: pd.DataFrame
    """One row an image that differs: mid, change (`added`, `removed`, `moved`, `changed`), detail."""
    attributes: pd.DataFrame
    """One row an attribute: share of positives in A and in B and mean score in A and in B, each with n, the shift B - A
    and its interval; NaN where there is none."""

    @property
    def same(self) -> bool:
        """Whether both hold the same images in the same splits with the same values."""
        return self.rows.empty

    def as_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {
            "added": list(self.added),
            "removed": list(self.removed),
            "kept": len(self.kept),
            "moved": [{"from": a, "to": b, "images": n} for (a, b), n in sorted(self.moved.items())],
            "changed": self.changed,
            "attributes": self.attributes.to_dict("records"),
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
    left, right = (table.to_pandas().set_index("mid") for table in (a, b))
    kept = left.index[left.index.isin(right.index)]
    added, removed = right.index.difference(left.index, sort=False), left.index.difference(right.index, sort=False)
    before, after = left.loc[kept], right.loc[kept]
    # Missing values are equal to each other.
    differs = (before != after) & ~(before.isna() & after.isna())
    moved = differs["split"]
    changed = differs.drop(columns=list(PLACE))
    rows = [(mid, "added", right.at[mid, "split"]) for mid in added]
    rows += [(mid, "removed", left.at[mid, "split"]) for mid in removed]
    rows += [(mid, "moved", f"{before.at[mid, 'split']} -> {after.at[mid, 'split']}") for mid in kept[moved]]
    rows += [
        (mid, "changed", "; ".join(f"{name}: {before.at[mid, name]} -> {after.at[mid, name]}" for name in names))
        for mid, names in ((mid, changed.columns[changed.loc[mid]]) for mid in kept[changed.any(axis=1)])
    ]
    per_column = changed.sum()
    return Diff(
        added=tuple(map(int, added)),
        removed=tuple(map(int, removed)),
        kept=tuple(map(int, kept)),
        moved=dict(Counter(zip(before["split"][moved], after["split"][moved], strict=True))),
        changed={str(name): int(n) for name, n in per_column[per_column > 0].items()},
        rows=pd.DataFrame(rows, columns=["mid", "change", "detail"]),
        attributes=_shifts(left, right, confidence, seed),
    )


def _rows(workspace: Workspace, name: str) -> pa.Table:
    """A selection by name or by file."""
    path = Path(name)
    if path.suffix != ".parquet":
        return read_selection(workspace, name).table
    if not path.is_file():
        raise BamkitError(f"there is no file {path}")
    return read_table(path, selection_schema().names)


def _of_split(rows: pa.Table, split: str) -> pa.Table:
    import pyarrow.compute as pc

    if split not in SPLITS:
        raise BamkitError(f"there is no split {split!r}", f"the splits are {', '.join(SPLITS)}")
    return rows.filter(pc.equal(rows.column("split"), split))


def _shifts(a: pd.DataFrame, b: pd.DataFrame, confidence: float, seed: int) -> pd.DataFrame:
    """One row an attribute; `a` and `b` have the manifest's columns and the mid as index."""
    draws = _draws(a.index, b.index, seed)
    rows = []
    for name in ATTRIBUTES:
        row: dict[Hashable, Any] = {"attribute": name}
        counts = []
        for side, table in (("a", a), ("b", b)):
            labels = table[name].dropna()
            positive = int((labels == "positive").sum())
            counts += [positive, len(labels)]
            share = wilson(positive, len(labels), confidence)
            ends = (share.low, share.high) if share.n else (math.nan, math.nan)
            row |= {f"positive_{side}": share.value, f"positive_{side}_low": ends[0], f"positive_{side}_high": ends[1]}
            row[f"n_{side}"] = len(labels)
        # It takes the two as independent; where they share images the true interval is narrower, never wider.
        shift = difference_of_proportions(counts[2], counts[3], counts[0], counts[1], confidence)
        defined = not math.isnan(shift.value)
        row |= {
            "positive_shift": shift.value,
            "positive_shift_low": shift.low if defined else math.nan,
            "positive_shift_high": shift.high if defined else math.nan,
        }
        scores = [table[f"{name}_score"].to_numpy(np.float64) for table in (a, b)]
        row |= {f"score_{side}": float(pd.Series(values).mean()) for side, values in zip("ab", scores, strict=True)}
        rows.append(row | _score_shift(scores, draws, confidence))
    return pd.DataFrame(rows)


def _draws(a: pd.Index, b: pd.Index, seed: int) -> list[NDArray[np.float32]]:
    """How often each image is drawn in each resample: float32 (RESAMPLES, rows of a) and (RESAMPLES, rows of b)."""
    union = np.union1d(a, b)
    random = np.random.default_rng(seed)
    weights = random.poisson(1.0, (RESAMPLES, len(union))).astype(np.float32)
    return [weights[:, np.searchsorted(union, mids)] for mids in (a, b)]


def _score_shift(
    scores: list[NDArray[np.float64]], draws: list[NDArray[np.float32]], confidence: float
) -> dict[Hashable, float]:
    """The shift of the mean score from a to b and its percentile interval."""
    finite = [~np.isnan(values) for values in scores]
    if min(int(present.sum()) for present in finite) < 2:
        return dict.fromkeys(("score_shift", "score_shift_low", "score_shift_high"), math.nan)
    means = [
        (drawn[:, present] @ values[present]) / np.maximum(drawn[:, present].sum(axis=1), 1)
        for drawn, values, present in zip(draws, scores, finite, strict=True)
    ]
    low, high = np.quantile(means[1] - means[0], [(1 - confidence) / 2, (1 + confidence) / 2])
    shift = scores[1][finite[1]].mean() - scores[0][finite[0]].mean()
    return {"score_shift": float(shift), "score_shift_low": float(low), "score_shift_high": float(high)}
