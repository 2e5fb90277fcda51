"""What a user should know about a selection that was just made: one sentence each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bamkit.common.contract import ATTRIBUTES, LABELS, SPLITS
from bamkit.common.errors import BamkitError
from bamkit.common.shards import read_about, read_table
from bamkit.common.workspace import Workspace, is_judges
from bamkit.curate.database.connection import Database
from bamkit.curate.select.query import Query

if TYPE_CHECKING:
    import pyarrow as pa

TOLERATED = 20
"""One image in so many of a split may be negative for the domain's own attribute without a word."""


def source_notes(database: Database, query: Query, source: str) -> list[str]:
    if source == "threshold" and query.labels == "automatic":
        return [
            f"{database.name} has no automatic_labels: labels are taken from the scores, positive above "
            f"{query.positive_above:g}, negative below {query.negative_below:g} (or give --labels crowd)"
        ]
    return []


def selection_notes(
    table: pa.Table,
    query: Query,
    dropped: Counter[str],
    workspace: Workspace | None,
    name: str,
    reach: Callable[..., int],
) -> list[str]:
    """What matters most first: what spoils a training, then what leaks, then what was left out.

    `reach(**changes)` is how many images the query would find with these fields changed.
    """
    notes = label_notes(table, query, reach) + unknown_labels(table)
    if workspace:
        notes += overlaps(table, workspace, name, query.attribute)
    notes += project_notes(table)
    reserve = table.column("split").to_pylist().count("reserve")
    if reserve < query.reserve_wanted:
        notes.append(f"the reserve holds {reserve:,} images instead of {query.reserve_wanted:,}: no more pass")
    return notes + [
        f"{n:,} {'image' if n == 1 else 'images'} left out: {reason}" for reason, n in sorted(dropped.items())
    ]


def unknown_labels(table: pa.Table) -> list[str]:
    """Labels of the chosen images that are none of BAM's words, such as `Positive`; or that they have none at all."""
    found: Counter[str] = Counter()
    if table.num_rows and all(table[name].null_count == table.num_rows for name in ATTRIBUTES):
        return ["none of these images has a label of any attribute: --labels threshold takes them from the scores"]
    for name in ATTRIBUTES:
        counted = ((one["values"], one["counts"]) for one in table[name].value_counts().to_pylist())
        found.update({label: n for label, n in counted if label is not None and label not in LABELS})
    if not found:
        return []
    words = ", ".join(repr(label) for label, _ in found.most_common(4)) + (" ..." if len(found) > 4 else "")
    return [
        f"{found.total():,} labels of these images are none of {', '.join(LABELS)} but {words}: they count as no "
        "label, and no filter finds them"
    ]


def project_id_notes(project_ids: Iterable[Any]) -> list[str]:
    """project_ids that the manifest, which has integers, cannot hold."""
    kinds = Counter(type(value).__name__ for value in project_ids if value is not None and not isinstance(value, int))
    if not kinds:
        return []
    held = " or ".join({"str": "text", "bytes": "a BLOB", "float": "a real number"}.get(kind, kind) for kind in kinds)
    return [
        f"`modules.project_id` is {held} for {kinds.total():,} of these images, where BAM has integers: the selection "
        "has no project for them, so `bamkit check` and other selections cannot keep their projects apart"
    ]


def project_notes(table: pa.Table) -> list[str]:
    """Projects in more than one split."""
    splits = table.column("split").to_pylist()
    homes: dict[int, set[str]] = {}
    for project, split in zip(table.column("project_id").to_pylist(), splits, strict=True):
        if project is not None and split != "reserve":
            homes.setdefault(project, set()).add(split)
    shared = sum(len(of_project) > 1 for of_project in homes.values())
    if not shared:
        return []
    have = "1 project has" if shared == 1 else f"{shared:,} projects have"
    return [
        f"{have} images in more than one split, and images of one project look alike: --group-by project keeps them "
        "apart"
    ]


def match_notes(report: Mapping[str, Any], query: Query) -> list[str]:
    """What a match has brought and cost; a warning that it did not work comes before how the pool grew."""
    from bamkit.curate.select.matching.match import explain

    filters = (query.having, query.without, query.min_score, query.max_score, query.license, not query.mature)
    others = (query.limit_per_project, query.group_by, query.disjoint_from)
    more = "leave --pool out" if report["more_behind_pool"] else ""
    lines = explain(report, query.match, more, any((*filters, *others)))
    return [lines[0], *lines[:0:-1]]


def label_notes(table: pa.Table, query: Query, reach: Callable[..., int]) -> list[str]:
    """A warning where the ranks reach so far down that the images of a split no longer show the attribute.

    It advises only what leads to a selection without this warning.
    """
    if query.sample != "top":
        return []
    by_split: dict[str, list[str | None]] = {split: [] for split in SPLITS}
    for split, label in zip(table["split"].to_pylist(), table[query.attribute].to_pylist(), strict=True):
        by_split[split].append(label)
    for split in ("train", "test", "validation"):
        labels = by_split[split]
        negative = labels.count("negative")
        if negative > sum(label is not None for label in labels) // TOLERATED:
            finding = f"{negative:,} of the {len(labels):,} {split} images are {query.attribute}:negative"
            advice = _advice_on_match_any(query, reach) if query.match else _advice_on_ranks(query, by_split, reach)
            return [f"{finding}: {advice}"]
    return []


def _advice_on_ranks(query: Query, by_split: dict[str, list[str | None]], reach: Callable[..., int]) -> str:
    counts = _without_negatives(by_split)
    enough = counts.get("top", 0)
    fewer = ", ".join(f"--{name} {count}" for name, count in counts.items())
    advice = [f"ask for fewer ({fewer} would do)"] if enough else []
    positive = reach(having=(*query.having, query.attribute))
    top = positive - (query.required - query.top)
    if positive >= query.required:
        advice.append(f"add --with {query.attribute}")
    elif top > enough:
        advice.append(f"add --with {query.attribute} and ask for --top {top}")
    return ", or ".join(advice) or f"only {positive:,} of the {query.required:,} images asked for would be positive"


def _advice_on_match_any(query: Query, reach: Callable[..., int]) -> str:
    negative = f"{query.attribute}:negative"
    others = reach(without=(*query.without, negative), pool=None)
    out = "leave --match-any and --pool out" if query.pool else "leave --match-any out"
    if others >= query.wanted:
        return out
    top = others - (query.wanted - query.top)
    return f"only {others:,} images are not" + (f": {out} and ask for --top {top}" if top >= 1 else "")


def _without_negatives(by_split: dict[str, list[str | None]]) -> dict[str, int]:
    """The most images, in the proportions asked for, of which no split holds more negative ones than are tolerated.

    As options of `bamkit select`. Splits follow each other in order of rank: where one is smaller, the next move up.
    """
    options = {"top": "train", "test": "test", "validation": "validation"}
    labels = [label for split in options.values() for label in by_split[split]]
    negative = np.cumsum([0, *(label == "negative" for label in labels)])
    labelled = np.cumsum([0, *(label is not None for label in labels)])
    top = len(by_split["train"])
    sizes = np.arange(top + 1)
    counts = {name: -(-sizes * len(by_split[split]) // top) for name, split in options.items() if by_split[split]}
    fine = np.ones(len(sizes), bool)
    begin = np.zeros_like(sizes)
    for count in counts.values():
        end = begin + count
        fine &= negative[end] - negative[begin] <= (labelled[end] - labelled[begin]) // TOLERATED
        begin = end
    best = int(np.flatnonzero(fine).max(initial=0))
    return {name: int(count[best]) for name, count in counts.items()}


def overlaps(table: pa.Table, workspace: Workspace, name: str, attribute: str) -> list[str]:
    """Notes about images and projects that other domains of the workspace hold as well."""
    notes, images, projects = [], {}, {}
    own = {column: set(table.column(column).to_pylist()) - {None} for column in ("mid", "src", "project_id")}
    for other in workspace.selection_names():
        if other == name or is_judges(other) or is_judges(name):
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
        images[other] = sum(mid in own["mid"] or src in own["src"] for mid, src in pairs)
        projects[other] = len(own["project_id"] & set(rows.column("project_id").to_pylist()))
    shared = {other: n for other, n in images.items() if n}
    if shared:
        notes.append(
            f"images that other selections hold as well ({_each(shared)}), and training refuses an image in both "
            f"domains: select again with {_disjoint(shared)}"
        )
    shared = {other: n for other, n in projects.items() if n}
    if shared:
        notes.append(
            f"projects that have images in other selections as well ({_each(shared)}): {_disjoint(shared)} "
            "--group-by project keeps them apart"
        )
    return notes


def _each(shared: Mapping[str, int]) -> str:
    return ", ".join(f"{other}: {n:,}" for other, n in shared.items())


def _disjoint(names: Iterable[str]) -> str:
    return " ".join(f"--disjoint-from {name}" for name in names)
