"""`bamkit balance`: two domains of a workspace compared, with the database behind them where it is there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from bamkit.common.contract import NOT_EMOTION
from bamkit.common.errors import BamkitError
from bamkit.common.lineage import require_current, stale_database
from bamkit.common.pages.notebook import as_html
from bamkit.common.statistics import BALANCED, cases_text, clusters_of
from bamkit.common.terminal.console import interval, signed
from bamkit.common.workspace import Workspace
from bamkit.curate.audit.balance import Balance, LabelCounts, balance
from bamkit.curate.audit.domain import DomainTables, abouts, domains_of, read_domain
from bamkit.curate.database.connection import Database
from bamkit.curate.database.counts import count
from bamkit.curate.select.matching.confounders import features, separability

if TYPE_CHECKING:
    import pyarrow as pa


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
    matched: bool = False
    """Whether one of the two was chosen to match the other."""

    def labels(self, every: bool = False) -> pd.DataFrame:
        """The labels for people: the positive ones that occur, largest difference first, or all 60 in order."""
        labels = self.balance.labels
        if not every:
            labels = labels[(labels["label"] == "positive") & (labels["count_a"] + labels["count_b"] > 0)]
            labels = largest_first(labels)
        return label_texts(labels, self.names, self.database)

    def scores(self) -> pd.DataFrame:
        """The scores for people, largest shift first."""
        scores = largest_first(self.balance.scores)
        unbalanced = scores["attribute"].isin(NOT_EMOTION) & (scores["smd"].abs() > BALANCED)
        shown: dict[str, Any] = {"score": scores["attribute"]}
        for side, name in zip("ab", self.names, strict=True):
            shown[f"mean {name}"] = list(
                map(interval, scores[f"mean_{side}"], scores[f"low_{side}"], scores[f"high_{side}"])
            )
        return pd.DataFrame(shown | {"SMD": scores["smd"].map(signed), "": unbalanced.map({True: "unbalanced"})})

    def summary(self) -> list[str]:
        """What it comes to, in a sentence or two."""
        a, b = (
            f"{name} {cases_text(size, projects)}"
            for name, size, projects in zip(self.names, self.sizes, self.balance.projects, strict=True)
        )
        lines = [f"{a} and {b} ({self.split}); {said_of_scores(self.balance)}"]
        lines += [sentence] if (sentence := said_of_auc(self.auc)) else []
        return lines

    @property
    def advice(self) -> bool:
        """Whether matching would help: something differs, a classifier sees it, and they are not matched yet."""
        return bool(len(unbalanced(self.balance))) and not self.auc[1] <= 0.5 and not self.matched

    def _repr_html_(self) -> str:
        return as_html(self.labels(), self.scores(), "\n".join(self.summary()))

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        value, low, high = self.auc
        return {
            "a": self.names[0],
            "b": self.names[1],
            "split": self.split,
            "n_a": self.sizes[0],
            "n_b": self.sizes[1],
            "projects_a": self.balance.projects[0],
            "projects_b": self.balance.projects[1],
            "auc": {"value": value, "low": low, "high": high},
            "labels": self.balance.labels.to_dict("records"),
            "scores": self.balance.scores.to_dict("records"),
        }


def largest_first(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows by descending |smd|, those without one last."""
    return rows.sort_values("smd", key=abs, ascending=False, na_position="last", kind="stable")


def unbalanced(balance: Balance) -> pd.DataFrame:
    """The content and media scores whose |SMD| is beyond BALANCED, largest first."""
    scores = balance.scores
    return largest_first(scores[scores["attribute"].isin(NOT_EMOTION) & (scores["smd"].abs() > BALANCED)])


def said_of_scores(balance: Balance) -> str:
    """How many content and media scores differ."""
    return (
        f"{len(unbalanced(balance))} of {len(NOT_EMOTION)} content and media scores differ by more than {BALANCED} SD"
    )


def said_of_auc(auc: tuple[float, float, float]) -> str:
    """The AUC of a classifier of the two domains as a one-sided test; "" where there is none.

    The classifier is tested on images it has not seen: below 0.5 it does worse than guessing, so it has found nothing.
    """
    value, low, high = auc
    if math.isnan(value):
        return ""
    text = f"AUC {value:.3f} [{low:.3f}, {high:.3f}]"
    if low > 0.5:
        return f"told apart by content and media alone with {text} (one-sided test against 0.5)"
    return f"not told apart by content and media alone: {text} is not above 0.5 (one-sided test)"


def label_texts(labels: pd.DataFrame, names: tuple[str, str], lift: bool) -> pd.DataFrame:
    """Rows of Balance.labels as texts: shares and their difference in percent with intervals, SMD, and the lifts."""
    shown: dict[str, Any] = {"attribute:label": labels["attribute"] + ":" + labels["label"]}
    for side, name in zip("ab", names, strict=True):
        shown[f"{name} %"] = _points(labels[f"share_{side}"], labels[f"low_{side}"], labels[f"high_{side}"])
    shown["difference"] = _points(labels["difference"], labels["difference_low"], labels["difference_high"], "+")
    shown["SMD"] = labels["smd"].map(signed)
    lifts = {f"lift {name}": labels[f"lift_{side}"] for side, name in zip("ab", names, strict=True)} if lift else {}
    return pd.DataFrame(shown | lifts)


def _points(value: pd.Series, low: pd.Series, high: pd.Series, sign: str = "") -> list[str | None]:
    """`6.1 [5.0, 7.4]` for each row: fractions as percentages."""
    rows = zip(100 * value, 100 * low, 100 * high, strict=True)
    return [interval(middle, left, right, 1, sign) for middle, left, right in rows]


def pair_of(workspace: Workspace, names: Sequence[str]) -> tuple[str, str]:
    """The two domains that are named; without names those of the workspace, if it has just two (a judge's apart).

    Raises BamkitError where they are not two, or one twice.
    """
    chosen = list(names) or domains_of(workspace)
    if len(chosen) != 2:
        there = f"{len(chosen)} are named" if names else f"there are {len(chosen)} ({', '.join(chosen) or 'none'})"
        known = domains_of(workspace)
        select = "bamkit select --emotion happy --top 1000\nbamkit select --emotion scary --top 1000"
        pair = f"bamkit balance {known[0]} {known[1]}" if len(known) > 1 else select
        raise BamkitError(f"two domains can be compared, and {there}", pair)
    a, b = chosen
    if a == b:
        others = [name for name in domains_of(workspace) if name != a]
        example = f"bamkit balance {a} {others[0]}" if others else "bamkit select --emotion scary --top 1000"
        raise BamkitError(f"{a} cannot be compared with itself: nothing would differ", example)
    return a, b


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
    domains = read_domain(workspace, a), read_domain(workspace, b)
    left, right = (domain.split(split) for domain in domains)
    for domain, rows in zip(domains, (left, right), strict=True):
        if not rows.num_rows:
            raise BamkitError(f"{domain.name} has no {split} images")
    labels = _database_labels(workspace, domains, database, progress) if with_database else None
    return Comparison(
        (a, b),
        split,
        (left.num_rows, right.num_rows),
        balance(left, right, labels),
        told_apart(left, right),
        labels is not None,
        matched_with(*domains) or matched_with(*domains[::-1]),
    )


def told_apart(left: pa.Table, right: pa.Table) -> tuple[float, float, float]:
    """`separability` of two tables with the manifest's columns by their content and media scores, by project."""
    projects = clusters_of([*left["project_id"].to_pylist(), *right["project_id"].to_pylist()])
    return separability(features(left), features(right), projects=projects)


def matched_with(domain: DomainTables, target: DomainTables) -> bool:
    """Whether `domain` was selected to match `target`."""
    return bool(domain.about.get("match")) and domain.about.get("query", {}).get("match") == target.name


def _database_labels(
    workspace: Workspace, domains: Sequence[DomainTables], given: str | None, progress: bool
) -> LabelCounts | None:
    try:
        location = workspace.database(given)
    except BamkitError:
        if given:
            raise
        return None
    with Database.open(location) as database:
        require_current(workspace, stale_database(abouts(domains), database.fingerprint, database.name))
        return count(database, workspace, progress).labels
