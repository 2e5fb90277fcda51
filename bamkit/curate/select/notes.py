"""What a user should know about a selection that was just made: one sentence each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bamkit.common.errors import BamkitError
from bamkit.common.shards import read_about, read_table
from bamkit.common.workspace import Workspace
from bamkit.curate.database.connection import Database
from bamkit.curate.select.query import Query

if TYPE_CHECKING:
    import pyarrow as pa


def source_notes(database: Database, query: Query, source: str) -> list[str]:
    if source == "threshold" and query.labels == "automatic":
        return [
            f"{database.name} has no automatic_labels: labels are taken from the scores, positive above "
            f"{query.positive_above:g}, negative below {query.negative_below:g} (or give --labels crowd)"
        ]
    return []


def split_notes(table: pa.Table, query: Query, dropped: Counter[str]) -> list[str]:
    notes = [*label_notes(table, query)]
    notes += [f"{n:,} {'image' if n == 1 else 'images'} left out: {reason}" for reason, n in sorted(dropped.items())]
    splits = table.column("split").to_pylist()
    reserve = splits.count("reserve")
    if reserve < query.reserve_wanted:
        notes.append(f"the reserve holds {reserve:,} images instead of {query.reserve_wanted:,}: no more pass")
    homes: dict[int, set[str]] = {}
    for project, split in zip(table.column("project_id").to_pylist(), splits, strict=True):
        if project is not None and split != "reserve":
            homes.setdefault(project, set()).add(split)
    shared = sum(len(found) > 1 for found in homes.values())
    if shared:
        notes.append(
            f"{_projects(shared)} images in more than one split, and images of one project look alike: "
            "--group-by project keeps them apart"
        )
    return notes


def label_notes(table: pa.Table, query: Query) -> list[str]:
    """A warning where the ranks reach so far down that the training images no longer show the attribute."""
    pairs = zip(table.column("split").to_pylist(), table.column(query.attribute).to_pylist(), strict=True)
    labels = Counter(label for split, label in pairs if split == "train" and label)
    if labels["negative"] <= sum(labels.values()) // 20 or query.sample != "top":
        return []
    return [
        f"{labels['negative']:,} of the {query.top:,} train images are {query.attribute}:negative: ask for fewer "
        f"(--top {max(labels['positive'], 1)} would do), or add --with {query.attribute}"
    ]


def overlaps(table: pa.Table, workspace: Workspace, name: str, attribute: str) -> list[str]:
    """Notes about images and projects that the other domains of the workspace hold as well."""
    notes = []
    mids, srcs, projects = (set(table.column(c).to_pylist()) - {None} for c in ("mid", "src", "project_id"))
    for other in workspace.selection_names():
        if other == name:
            continue
        try:
            about = read_about(workspace.selection(other))
            rows = read_table(workspace.selection(other), ["mid", "src", "project_id"])
        except BamkitError as error:
            notes.append(f"not compared with the selection {other}: {error.message}")
            continue
        if about.get("query", {}).get("attribute") == attribute:
            # Another version of the same domain is there to be compared, not to be trained against.
            continue
        pairs = zip(rows.column("mid").to_pylist(), rows.column("src").to_pylist(), strict=True)
        both = sum(mid in mids or src in srcs for mid, src in pairs)
        if both:
            notes.append(
                f"{_images(both)} also in the selection {other}, and training refuses an image in both domains: "
                f"select again with --disjoint-from {other}"
            )
        shared = len(projects & set(rows.column("project_id").to_pylist()))
        if shared:
            notes.append(
                f"{_projects(shared)} images in the selection {other} as well: --disjoint-from {other} "
                "--group-by project keeps them apart"
            )
    return notes


def _images(n: int) -> str:
    return "1 image is" if n == 1 else f"{n:,} images are"


def _projects(n: int) -> str:
    return "1 project has" if n == 1 else f"{n:,} projects have"
