"""Link rot: what of a selection could not be had, and how the obtained set differs from the requested one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bamkit.common import statistics
from bamkit.common.contract import ATTRIBUTES
from bamkit.curate.audit.domain import DomainTables, of_split
from bamkit.curate.select.matching.confounders import score_shift

if TYPE_CHECKING:
    import pyarrow as pa


def outcomes(domain: DomainTables) -> pa.Table:
    """What happened to the images that were asked for: outcome, count, n, share, low, high (Wilson).

    The first row is `obtained`; then the outcomes of the missing ones by descending count. n counts the addresses that
    were tried: those in train, test and validation, and the reserve images tried in their stead.
    """
    import pyarrow as pa

    assert domain.obtained is not None
    assert domain.missing is not None
    lost = {one["values"]: one["counts"] for one in domain.missing["outcome"].value_counts().to_pylist()}
    n = domain.obtained.num_rows + domain.missing.num_rows
    counted = [("obtained", domain.obtained.num_rows), *sorted(lost.items(), key=lambda item: (-item[1], item[0]))]
    bounds = [statistics.wilson(count, n) for _, count in counted]
    return pa.table(
        {
            "outcome": [name for name, _ in counted],
            "count": [count for _, count in counted],
            "n": [n] * len(counted),
            "share": [count / n if n else 0.0 for _, count in counted],
            "low": [bound.low for bound in bounds],
            "high": [bound.high for bound in bounds],
        }
    )


def changed(domain: DomainTables, split: str = "train") -> pa.Table | None:
    """How the obtained images of one split differ from the requested ones: attribute, requested, obtained, smd.

    `requested` and `obtained` are mean scores, `smd` is obtained minus requested. None unless both are here.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if domain.requested is None or domain.obtained is None:
        return None
    before, after = of_split(domain.requested, split), of_split(domain.obtained, split)
    if not before.num_rows or not after.num_rows:
        return None
    shift = score_shift(after, before)
    means = [[pc.mean(side[f"{name}_score"]).as_py() for name in ATTRIBUTES] for side in (before, after)]
    return pa.table(
        {
            "attribute": list(ATTRIBUTES),
            "requested": pa.array(means[0], pa.float64()),
            "obtained": pa.array(means[1], pa.float64()),
            "smd": [shift[name] for name in ATTRIBUTES],
        }
    )


def replaced(domain: DomainTables) -> int:
    """How many obtained images stand in for another one."""
    assert domain.obtained is not None
    return domain.obtained.num_rows - domain.obtained["replaces"].null_count
