"""What two domains differ in besides the emotion: prevalence of every label, and the shift of every score.

A translator learns whatever tells its two domains apart. Where one is full of flowers and the other of people, it
learns to paint petals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common import statistics
from bamkit.common.contract import ATTRIBUTES, LABELS

if TYPE_CHECKING:
    import pyarrow as pa

LabelCounts = Mapping[str, Mapping[str, int]]
"""`counts[attribute][label]`: how many images of a database carry a label."""


@dataclass(frozen=True)
class Balance:
    """Two domains compared."""

    labels: pa.Table
    """One row an attribute:label: counts, n, shares with Wilson intervals, their difference with Newcombe's interval,
    the standardised difference, and the lift of each domain over the database (null without one)."""
    scores: pa.Table
    """One row an attribute: both means with bootstrap intervals, and the standardised mean difference."""


def prevalence(rows: pa.Table, database: LabelCounts | None = None) -> pa.Table:
    """How often each attribute:label occurs: attribute, label, count, n, share, low, high, lift.

    `rows` has the manifest's columns. n is the number of images that have any label for the attribute; share, low and
    high (Wilson, 95 %) are fractions. `lift` is the share over that of the database, null where it is not known.
    """
    import pyarrow as pa

    found = []
    for attribute, label, count, n in _label_counts(rows):
        share = statistics.wilson(count, n)
        times = _lift(share.value, attribute, label, database)
        found.append((attribute, label, count, n, share.value, share.low, share.high, times))
    names = ("attribute", "label", "count", "n", "share", "low", "high", "lift")
    return pa.table({name: list(column) for name, column in zip(names, zip(*found, strict=True), strict=True)})


def top_labels(shares: pa.Table, top: int = 12) -> pa.Table:
    """The `top` most frequent pairs of a `prevalence` table by descending count, the rest folded into "others".

    Columns: pair (`flower:positive`, in the study's words `content_flower:positive`), count, share (of all pairs
    counted, as in the study's pies), low and high (Wilson). Negative labels are left out: they say what is not there.
    """
    import pyarrow as pa

    rows = [row for row in shares.to_pylist() if row["label"] != "negative" and row["count"]]
    total = sum(row["count"] for row in rows)
    rows.sort(key=lambda row: (-row["count"], row["attribute"], row["label"]))
    pairs = [(f"{row['attribute']}:{row['label']}", row["count"]) for row in rows[:top]]
    if rows[top:]:
        pairs.append(("others", sum(row["count"] for row in rows[top:])))
    bounds = [statistics.wilson(count, total) for _, count in pairs]
    return pa.table(
        {
            "pair": pa.array([name for name, _ in pairs], pa.string()),
            "count": pa.array([count for _, count in pairs], pa.int64()),
            "share": pa.array([count / total for _, count in pairs], pa.float64()),
            "low": pa.array([bound.low for bound in bounds], pa.float64()),
            "high": pa.array([bound.high for bound in bounds], pa.float64()),
        }
    )


def balance(a: pa.Table, b: pa.Table, database: LabelCounts | None = None) -> Balance:
    """Compare two domains given as tables with the manifest's columns. Differences are a minus b."""
    return Balance(_compare_labels(a, b, database), _compare_scores(a, b))


def _compare_labels(a: pa.Table, b: pa.Table, database: LabelCounts | None) -> pa.Table:
    import pyarrow as pa

    left, right = prevalence(a, database), prevalence(b, database)
    columns = {"attribute": left["attribute"], "label": left["label"]}
    for side, table in (("a", left), ("b", right)):
        columns |= {f"{name}_{side}": table[name] for name in ("count", "n", "share", "low", "high")}
    pairs = list(zip(left.to_pylist(), right.to_pylist(), strict=True))
    bounds = [statistics.difference_of_proportions(p["count"], p["n"], q["count"], q["n"]) for p, q in pairs]
    columns |= {
        "difference": [p["share"] - q["share"] for p, q in pairs],
        "difference_low": [bound.low for bound in bounds],
        "difference_high": [bound.high for bound in bounds],
        "smd": [statistics.standardised_difference_of_shares(p["share"], q["share"]) for p, q in pairs],
        "lift_a": left["lift"],
        "lift_b": right["lift"],
    }
    return pa.table(columns)


def _compare_scores(a: pa.Table, b: pa.Table) -> pa.Table:
    import pyarrow as pa

    found = []
    for attribute in ATTRIBUTES:
        row: dict[str, object] = {"attribute": attribute}
        sides = [statistics.finite(table[f"{attribute}_score"].to_numpy()) for table in (a, b)]
        for side, values in zip("ab", sides, strict=True):
            mean = statistics.bootstrap_mean(values, resamples=1000)
            row |= {f"n_{side}": mean.n, f"mean_{side}": mean.value}
            row |= {f"low_{side}": mean.low, f"high_{side}": mean.high}
        row["smd"] = statistics.standardised_mean_difference(*sides)
        found.append(row)
    return pa.Table.from_pylist(found)


def _label_counts(rows: pa.Table) -> list[tuple[str, str, int, int]]:
    """(attribute, label, count, n) for the 60 pairs in the contract's order; labels in other words are not counted."""
    found = []
    for attribute in ATTRIBUTES:
        values = {one["values"]: one["counts"] for one in rows[attribute].value_counts().to_pylist()}
        n = sum(values.get(label, 0) for label in LABELS)
        found += [(attribute, label, values.get(label, 0), n) for label in LABELS]
    return found


def _lift(share: float, attribute: str, label: str, database: LabelCounts | None) -> float | None:
    """The share over the database's own; null where the database has no such label or the domain no share."""
    counts = (database or {}).get(attribute, {})
    total = sum(counts.get(one, 0) for one in LABELS)
    if not total or not counts.get(label) or math.isnan(share):
        return None
    return float(np.float64(share) * total / counts[label])
