"""What is in a BAM file, and what is wrong with it: the library behind `bamkit info`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from bamkit.common.contract import ATTRIBUTES, LABELS
from bamkit.common.pages.notebook import as_html, notes
from bamkit.curate.database.accumulator import Counts
from bamkit.curate.database.connection import Database
from bamkit.curate.database.counts import count
from bamkit.curate.database.problems import content_problems, schema_problems, wrong_types

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

    def _repr_html_(self) -> str:
        counts = f"{self.name}: {self.counts.images:,} images, {self.counts.scored:,} scored"
        return as_html(f"{counts}, fingerprint {self.fingerprint}", self.attributes(), notes(self.problems))

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
        problems=(*schema_problems(database), *wrong_types(database), *content_problems(counts)),
    )
