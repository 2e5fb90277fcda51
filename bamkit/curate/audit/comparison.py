"""`bamkit balance`: two domains of a workspace compared, with the database behind them where it is there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bamkit.common.contract import NOT_EMOTION
from bamkit.common.errors import BamkitError
from bamkit.common.statistics import BALANCED
from bamkit.common.workspace import Workspace
from bamkit.curate.audit.balance import Balance, LabelCounts, balance
from bamkit.curate.audit.domain import domains_of, read_domain
from bamkit.curate.database.connection import Database
from bamkit.curate.database.counts import count
from bamkit.curate.select.matching.confounders import features, separability


@dataclass(frozen=True)
class Comparison:
    """Two domains compared."""

    names: tuple[str, str]
    split: str
    sizes: tuple[int, int]
    balance: Balance
    auc: tuple[float, float, float]
    """How well content and media scores tell them apart: AUC and its interval; see matching.separability."""
    database: bool
    """Whether the lift over the database is known."""

    def label_rows(self, every: bool = False) -> list[dict[str, Any]]:
        """The labels for people: the positive ones that occur, largest difference first, or all 60 in order."""
        rows = self.balance.labels.to_pylist()
        if not every:
            rows = [row for row in rows if row["label"] == "positive" and row["count_a"] + row["count_b"]]
            rows.sort(key=lambda row: -abs(row["smd"]) if math.isfinite(row["smd"]) else math.inf)
        return [self._label_row(row) for row in rows]

    def _label_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        a, b = self.names
        shown = {
            "attribute:label": f"{row['attribute']}:{row['label']}",
            f"{a} %": _percent(row["share_a"], row["low_a"], row["high_a"]),
            f"{b} %": _percent(row["share_b"], row["low_b"], row["high_b"]),
            "difference": _percent(row["difference"], row["difference_low"], row["difference_high"], "+"),
            "SMD": _signed(row["smd"]),
        }
        return shown | ({f"lift {a}": row["lift_a"], f"lift {b}": row["lift_b"]} if self.database else {})

    def score_rows(self) -> list[dict[str, Any]]:
        """The scores for people, largest shift first."""
        a, b = self.names
        rows = self.balance.scores.to_pylist()
        rows.sort(key=lambda row: -abs(row["smd"]) if not math.isnan(row["smd"]) else math.inf)
        return [
            {
                "score": row["attribute"],
                f"mean {a}": _interval(row["mean_a"], row["low_a"], row["high_a"]),
                f"mean {b}": _interval(row["mean_b"], row["low_b"], row["high_b"]),
                "SMD": _signed(row["smd"]),
                "": "" if row["attribute"] not in NOT_EMOTION or not abs(row["smd"]) > BALANCED else "unbalanced",
            }
            for row in rows
        ]

    def summary(self) -> list[str]:
        """What it comes to, in a sentence or two."""
        a, b = self.names
        beyond = [row["attribute"] for row in self.balance.scores.to_pylist() if abs(row["smd"]) > BALANCED]
        beyond = [name for name in beyond if name in NOT_EMOTION]
        lines = [
            f"{a} {self.sizes[0]:,} and {b} {self.sizes[1]:,} images ({self.split}); "
            f"{len(beyond)} of {len(NOT_EMOTION)} content and media scores differ by more than {BALANCED} SD"
        ]
        if not math.isnan(self.auc[0]):
            value, low, high = self.auc
            lines.append(
                f"told apart by content and media alone with AUC {value:.3f} [{low:.3f}, {high:.3f}] "
                "(0.5 or less is chance)"
            )
        if beyond and not self.auc[1] <= 0.5:
            lines.append(f"to remove it: bamkit select --match {a} ... chooses a domain matched on content and media")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        value, low, high = self.auc
        return {
            "a": self.names[0],
            "b": self.names[1],
            "split": self.split,
            "n_a": self.sizes[0],
            "n_b": self.sizes[1],
            "auc": {"value": value, "low": low, "high": high},
            "labels": self.balance.labels.to_pylist(),
            "scores": self.balance.scores.to_pylist(),
        }


def pair_of(workspace: Workspace, names: Sequence[str]) -> tuple[str, str]:
    """The two domains that are named; without names those of the workspace, if it has just two (a judge's apart)."""
    found = list(names) or domains_of(workspace)
    if len(found) != 2:
        there = f"{len(found)} are named" if names else f"there are {len(found)} ({', '.join(found) or 'none'})"
        raise BamkitError(f"two domains can be compared, and {there}", "bamkit balance happy scary")
    return found[0], found[1]


def compare(
    workspace: Workspace,
    a: str,
    b: str,
    split: str = "train",
    database: str | None = None,
    with_database: bool = True,
    progress: bool = True,
) -> Comparison:
    """Compare one split of two domains; of a fetched domain the obtained images count.

    The database (`database`, else the workspace's, if it has one) gives the lift. Raises BamkitError where a domain is
    not there or has no image of that split, or where `database` is given and unreadable.
    """
    rows = []
    for name in (a, b):
        found = read_domain(workspace, name).split(split)
        if not found.num_rows:
            raise BamkitError(f"{name} has no {split} images")
        rows.append(found)
    labels = _database_labels(workspace, database, progress) if with_database else None
    return Comparison(
        (a, b),
        split,
        (rows[0].num_rows, rows[1].num_rows),
        balance(rows[0], rows[1], labels),
        separability(features(rows[0]), features(rows[1])),
        labels is not None,
    )


def _database_labels(workspace: Workspace, given: str | None, progress: bool) -> LabelCounts | None:
    try:
        location = workspace.database(given)
    except BamkitError:
        if given:
            raise
        return None
    with Database.open(location) as database:
        return count(database, workspace, progress).labels


def _percent(share: float, low: float, high: float, sign: str = "") -> str:
    if math.isnan(share):
        return "-"
    return f"{100 * share:{sign}.1f} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"


def _interval(value: float, low: float, high: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.2f}"
