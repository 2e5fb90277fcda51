"""Link rot: what of a selection could not be had, and how the obtained set differs from the requested one."""

from __future__ import annotations

import pandas as pd

from bamkit.common.contract import ATTRIBUTES
from bamkit.curate.audit.balance import with_shares
from bamkit.curate.audit.domain import DomainTables, of_split
from bamkit.curate.select.matching.confounders import score_shift

REFUSED = frozenset(
    {
        "private-address", "opted-out", "robots-disallowed", "robots-unavailable", "tdm-reserved", "ai-disallowed",
        "forgotten", "too-many-bytes", "too-many-pixels", "too-small",
    }
)  # fmt: skip
"""Outcomes that say nothing against a link: bamkit did not ask for the address, or did not take the picture."""


def outcomes(domain: DomainTables) -> pd.DataFrame:
    """What happened to the images that were asked for: outcome, count, n, share, low, high (Wilson).

    The first row is `obtained`; then the outcomes of the missing ones by descending count. n counts the addresses that
    were tried: those in train, test and validation, and the reserve images tried in their stead, without those of the
    REFUSED outcomes, whose shares are NaN.
    """
    assert domain.obtained is not None
    assert domain.missing is not None
    lost: pd.DataFrame = (
        domain.missing["outcome"].to_pandas().value_counts().rename_axis("outcome").reset_index(name="count")
    )
    lost = lost.sort_values(["count", "outcome"], ascending=[False, True])
    had = pd.DataFrame({"outcome": ["obtained"], "count": [domain.obtained.num_rows]})
    counted = pd.concat([had, lost], ignore_index=True)
    refused = counted["outcome"].isin(REFUSED)
    tried: pd.DataFrame = counted[~refused].assign(n=counted["count"][~refused].sum())
    return pd.concat([with_shares(tried), counted[refused].assign(n=tried["n"].iloc[0])], ignore_index=True)


def changed(domain: DomainTables, split: str = "train") -> pd.DataFrame | None:
    """How the obtained images of one split differ from the requested ones: attribute, requested, obtained, smd.

    `requested` and `obtained` are mean scores, `smd` is obtained minus requested. None unless both are here.
    """
    if domain.requested is None or domain.obtained is None:
        return None
    before, after = of_split(domain.requested, split), of_split(domain.obtained, split)
    if not before.num_rows or not after.num_rows:
        return None
    columns = [f"{name}_score" for name in ATTRIBUTES]
    means = [side.select(columns).to_pandas().mean().to_numpy() for side in (before, after)]
    return pd.DataFrame(
        {
            "attribute": ATTRIBUTES,
            "requested": means[0],
            "obtained": means[1],
            "smd": score_shift(after, before).values(),
        }
    )


def replaced(domain: DomainTables) -> int:
    """How many obtained images stand in for another one."""
    assert domain.obtained is not None
    return int(domain.obtained.num_rows - domain.obtained["replaces"].null_count)
