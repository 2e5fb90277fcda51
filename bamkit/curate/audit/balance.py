"""What two domains differ in besides the emotion: prevalence of every label, and the shift of every score.

A translator learns whatever tells its two domains apart. Where one is full of flowers and the other of people, it
learns to paint petals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from bamkit.common import statistics
from bamkit.common.contract import ATTRIBUTES, LABELS

if TYPE_CHECKING:
    import pyarrow as pa

    from bamkit.common.statistics.clusters import Clusters

    LabelShare: TypeAlias = tuple[str, str, int, statistics.Estimate]
    """An attribute, a label, how many images have it, and the share of those with any label for the attribute."""

LabelCounts = Mapping[str, Mapping[str, int]]
"""`counts[attribute][label]`: how many images of a database carry a label."""


@dataclass(frozen=True)
class Balance:
    """Two domains compared."""

    labels: pd.DataFrame
    """One row an attribute:label: counts, n, shares with Wilson intervals, their difference with Newcombe's interval,
    the standardised difference, and the lift of each domain over the database (NaN without one). Intervals are
    clustered by project, as images of one project are alike."""
    scores: pd.DataFrame
    """One row an attribute: both means with bootstrap intervals over projects, the standardised mean difference."""
    projects: tuple[int | None, int | None]
    """How many projects the images of either come from; None where that is not known."""


def with_shares(counted: pd.DataFrame) -> pd.DataFrame:
    """`counted` with the columns share, low and high: its `count` over its `n` with Wilson's 95 % interval.

    Where n is 0 the share is NaN and the interval the whole range.
    """
    shares = [statistics.wilson(count, n) for count, n in zip(counted["count"], counted["n"], strict=True)]
    return counted.assign(
        share=[each.value for each in shares],
        low=[each.low for each in shares],
        high=[each.high for each in shares],
    )


def prevalence(rows: pa.Table, database: LabelCounts | None = None) -> pd.DataFrame:
    """How often each attribute:label occurs: attribute, label, count, n, share, low, high, lift.

    `rows` has the manifest's columns. n is the number of images that have any of the three labels for the attribute;
    share, low and high (Wilson, 95 %, clustered by project) are fractions. `lift` is the share over that of the
    database, NaN where it is not known. 60 rows in the contract's order.
    """
    return _prevalence(_shares(rows), database)


def _prevalence(shares: Sequence[LabelShare], database: LabelCounts | None) -> pd.DataFrame:
    every = pd.DataFrame(database or {}, index=list(LABELS), columns=list(ATTRIBUTES), dtype=float)
    base = (every / every.sum()).to_numpy().T.ravel()
    table = pd.DataFrame(
        [
            {
                "attribute": attribute,
                "label": label,
                "count": count,
                "n": share.n,
                "share": share.value,
                "low": share.low,
                "high": share.high,
            }
            for attribute, label, count, share in shares
        ]
    )
    return table.assign(lift=table["share"] / np.where(base > 0, base, np.nan))


def projects_of(rows: pa.Table) -> Clusters:
    """(n,) the number of each row's project; None where none is known."""
    return statistics.clusters_of(rows["project_id"].to_pylist() if "project_id" in rows.column_names else ())


def _shares(rows: pa.Table) -> list[LabelShare]:
    """Each attribute and label: how many of the rows that have a label for the attribute have this one."""
    clusters, shares = projects_of(rows), []
    for attribute in ATTRIBUTES:
        labels = rows[attribute].to_numpy(zero_copy_only=False)
        known = np.isin(labels, LABELS)
        projects = statistics.subset(clusters, known)
        for label in LABELS:
            hits = labels[known] == label
            shares.append((attribute, label, int(hits.sum()), statistics.share(hits, projects)))
    return shares


def top_labels(shares: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """The `top` most frequent pairs of a `prevalence` table by descending count, the rest folded into "others".

    Columns: pair (`flower:positive`, in the study's words `content_flower:positive`), count, share (of all pairs
    counted, as in the study's pies), low and high (Wilson). Negative labels are left out: they say what is not there.
    """
    kept = shares[(shares["label"] != "negative") & (shares["count"] > 0)]
    kept = kept.sort_values(["count", "attribute", "label"], ascending=[False, True, True])
    pairs = pd.DataFrame({"pair": kept["attribute"] + ":" + kept["label"], "count": kept["count"]})
    rest = pd.DataFrame({"pair": ["others"], "count": [pairs["count"][top:].sum()]})
    folded = pd.concat([pairs[:top], rest[: len(pairs[top:])]], ignore_index=True)
    return with_shares(folded.assign(n=pairs["count"].sum())).drop(columns="n")


def balance(a: pa.Table, b: pa.Table, database: LabelCounts | None = None) -> Balance:
    """Compare two domains given as tables with the manifest's columns. Differences are a minus b."""
    projects = tuple(statistics.count_clusters(projects_of(rows)) for rows in (a, b))
    return Balance(compare_labels(a, b, database), compare_scores(a, b), (projects[0], projects[1]))


def compare_labels(a: pa.Table, b: pa.Table, database: LabelCounts | None = None) -> pd.DataFrame:
    """`Balance.labels` of two domains given as tables with the manifest's columns."""
    sides = _shares(a), _shares(b)
    tables = [_prevalence(shares, database) for shares in sides]
    both = tables[0].merge(tables[1], on=["attribute", "label"], suffixes=("_a", "_b"), sort=False)
    lifts = both[["lift_a", "lift_b"]]
    both = both.drop(columns=lifts.columns)
    differences = [statistics.difference(left[-1], right[-1]) for left, right in zip(*sides, strict=True)]
    smd = map(statistics.standardised_difference_of_shares, both["share_a"], both["share_b"])
    return both.assign(
        difference=[each.value for each in differences],
        difference_low=[each.low for each in differences],
        difference_high=[each.high for each in differences],
        smd=list(smd),
        **lifts,
    )


def compare_scores(a: pa.Table, b: pa.Table) -> pd.DataFrame:
    """`Balance.scores` of two domains given as tables with the manifest's columns."""
    table = pd.DataFrame({"attribute": ATTRIBUTES})
    sides = []
    for side, rows in (("a", a), ("b", b)):
        clusters = projects_of(rows)
        scores = [rows[f"{name}_score"].to_numpy().astype(np.float64) for name in ATTRIBUTES]
        known = [np.isfinite(values) for values in scores]
        means = [
            statistics.bootstrap_mean(values[there], statistics.subset(clusters, there), resamples=1000)
            for values, there in zip(scores, known, strict=True)
        ]
        for column, field in (("n", "n"), ("mean", "value"), ("low", "low"), ("high", "high")):
            table[f"{column}_{side}"] = [getattr(mean, field) for mean in means]
        sides.append(scores)
    return table.assign(smd=list(map(statistics.standardised_mean_difference, *sides)))
