"""What is in a BAM file, and what is wrong with it: the library behind `bamkit info`."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from bamkit.common.contract import ATTRIBUTES, LABELS
from bamkit.curate.database.accumulator import Counts
from bamkit.curate.database.connection import KNOWN, Database
from bamkit.curate.database.counts import count

if TYPE_CHECKING:
    from bamkit.common.workspace import Workspace

RELEASES = {389_040: "crowd-only", 1_379_284: "1m", 2_289_817: "2.2m"}
"""Rows of `modules` in the releases of BAM."""


@dataclass(frozen=True)
class Info:
    """What `bamkit info` shows."""

    name: str
    size: int | None
    """Bytes of the file; None for a database server."""
    fingerprint: str
    release: str
    """The release of BAM that has so many images, "" if none has."""
    tables: dict[str, str]
    """Table name -> "table" or "view"."""
    automatic: str
    """How automatic labels are kept: "table", "view" or "absent"."""
    counts: Counts
    problems: tuple[str, ...]
    """What is wrong or unusual, one sentence each."""

    def attributes(self) -> pd.DataFrame:
        """One row an attribute: the range of its score, its labels, the crowd's labels."""
        rows = []
        for name in ATTRIBUTES:
            scores = self.counts.scores.get(name)
            rows.append(
                {
                    "attribute": name,
                    "least": scores.minimum if scores else None,
                    "mean": scores.mean if scores else None,
                    "best": scores.maximum if scores else None,
                    **{label: self.counts.labels[name].get(label, 0) for label in LABELS},
                    **{f"crowd {label}": self.counts.crowd.get(name, {}).get(label, 0) for label in LABELS},
                }
            )
        return pd.DataFrame(rows)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        counts = self.counts
        return {
            "file": self.name,
            "bytes": self.size,
            "fingerprint": self.fingerprint,
            "release": self.release or None,
            "tables": self.tables,
            "images": counts.images,
            "scored": counts.scored,
            "projects": counts.projects,
            "without_scores": counts.without_scores,
            "without_src": counts.without_src,
            "duplicate_srcs": counts.duplicate_srcs,
            "mature": counts.mature,
            "licenses": counts.licenses,
            "automatic_labels": self.automatic,
            "label_source": counts.label_source,
            "attributes": self.attributes().to_dict("records"),
            "from_cache": counts.from_cache,
            "problems": list(self.problems),
        }


def describe(database: Database, workspace: Workspace | None = None, progress: bool = True) -> Info:
    """Look at the whole database once (or at the workspace's index of it). Raises BamkitError if it is damaged."""
    counts = count(database, workspace, progress)
    return Info(
        name=database.name,
        size=database.path.stat().st_size if database.path else None,
        fingerprint=database.fingerprint,
        release=RELEASES.get(counts.images, ""),
        tables={name: "view" if table.view else "table" for name, table in sorted(database.tables.items())},
        automatic=database.automatic,
        counts=counts,
        problems=(*schema_problems(database), *content_problems(counts)),
    )


def schema_problems(database: Database) -> list[str]:
    """Tables and columns that are missing, unknown or misspelt, with the nearest known name."""
    found = []
    for table, known in KNOWN.items():
        if not database.has(table):
            found.append(f"there is no table `{table}`")
            continue
        there = database.columns(table)
        missing = [name for name in known if name not in there]
        unknown = [name for name in there if name not in known]
        for name in unknown:
            near = difflib.get_close_matches(name, missing, n=1, cutoff=0.7)
            if near:
                missing.remove(near[0])
                found.append(f"`{table}.{name}` is probably {near[0]} misspelt: it is not used")
            else:
                found.append(f"`{table}.{name}` is not a column of BAM: it is not used")
        if missing:
            found.append(f"`{table}` has no {', '.join(missing)}")
    return found


def content_problems(counts: Counts) -> list[str]:
    """What the counts show to be wrong."""
    found = []
    text = sum(one.text for one in counts.scores.values())
    missing = sum(one.missing for one in counts.scores.values())
    above = [name for name, one in counts.scores.items() if one.maximum is not None and one.maximum > 0]
    other = sum(counts.unlabelled.values()) if counts.label_source == "automatic_labels" else 0
    for n, what in (
        (counts.without_scores, "images have no row in `scores`: they cannot be ranked"),
        (counts.without_src, "images have no src: they cannot be fetched"),
        (counts.duplicate_srcs, "images repeat the src of another: select keeps the best-ranked of them"),
        (text, "scores are text instead of numbers: they are not used"),
        (missing, "scores are NULL or NaN: they are not used"),
        (other, "automatic labels are none of positive, unsure, negative"),
    ):
        if n:
            found.append(f"{n:,} {what}")
    if above:
        found.append(f"scores above 0, where BAM's are log-probabilities: {', '.join(above)}")
    if not counts.images:
        found.append("`modules` has no rows")
    if not counts.scored:
        found.append("`scores` has no rows")
    return found
