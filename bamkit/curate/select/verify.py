"""Is a selection still what its query gives? Re-run it and compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from bamkit.common.errors import BamkitError
from bamkit.common.tombstones import Tombstones
from bamkit.common.workspace import Workspace
from bamkit.curate.database.connection import Database
from bamkit.curate.select.diff import diff
from bamkit.curate.select.manifest import Selection, read_selection, select, selection_id


@dataclass(frozen=True)
class Verdict:
    """The outcome for one selection."""

    name: str
    state: str
    """"same", "differs" (the query gives something else today), "altered" (the file is not what was written) or
    "failed" (the query cannot be answered any more)."""
    images: int
    database: str
    """"same" or "other" than the one it was selected from, by the fingerprint."""
    added: int = 0
    """Images that the query gives today and the manifest does not have."""
    removed: int = 0
    """Images of the manifest that the query no longer gives."""
    moved: int = 0
    """Images that would be in another split."""
    changed: int = 0
    """Images of both with another value in some column."""
    forgotten: int = 0
    """Images of the manifest that were removed on request since: the query still gives them, fetch no longer does."""
    reason: str = ""
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The images that differ: mid, change, detail; see `Diff.rows`."""

    @property
    def ok(self) -> bool:
        return self.state == "same"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {**vars(self), "rows": self.rows.to_dict("records")}


def verdict_table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """One row a selection, without the images that differ."""
    return pd.DataFrame([vars(verdict) for verdict in verdicts]).drop(columns="rows")


def verify(workspace: Workspace, database: Database, names: Sequence[str] = ()) -> list[Verdict]:
    """A verdict for each named selection (all of the workspace by default). Raises BamkitError if there is none."""
    chosen = list(names) or workspace.selection_names()
    if not chosen:
        raise BamkitError(
            f"there is no selection in {workspace.selections}", "bamkit select --emotion happy --top 1000"
        )
    return [verify_one(workspace, database, read_selection(workspace, name)) for name in chosen]


def verify_one(workspace: Workspace, database: Database, selection: Selection) -> Verdict:
    """Re-run a selection's query and compare images, splits and every value."""
    origin = "same" if selection.about["database"]["fingerprint"] == database.fingerprint else "other"
    verdict = Verdict(selection.name, "same", len(selection.table), origin)
    inputs = selection.about.get("inputs", {})
    if selection_id(selection.query, inputs, selection.table) != selection.selection_id:
        return replace(verdict, state="altered", reason="the rows do not give the selection_id in the file")
    every = Tombstones.of(workspace)
    columns = selection.table.select(["mid", "src"]).to_pydict()
    gone = sum(every.covers(*image) for image in zip(columns["mid"], columns["src"], strict=True))
    if gone:
        were = "was" if gone == 1 else "were"
        reason = f"{gone:,} of its images {were} removed on request since: fetch leaves out such images"
        verdict = replace(verdict, forgotten=gone, reason=reason)
    # What was removed since it was selected is no change of the database.
    heeded = Tombstones(every.stones[: selection.about.get("forgotten", 0)])
    try:
        again = select(database, selection.query, workspace, selection.name, heeded)
    except BamkitError as error:
        return replace(verdict, state="failed", reason=str(error))
    if again.selection_id == selection.selection_id:
        return verdict
    difference = diff(selection.table, again.table)
    replaced = [name for name, then in inputs.items() if again.about["inputs"].get(name) != then]
    reason = "the database gives other rows"
    if replaced:
        reason = f"the selection {', '.join(replaced)} it refers to was replaced"
        reason += "; the rows are the same" if difference.same else ""
    return replace(
        verdict,
        state="differs",
        added=len(difference.added),
        removed=len(difference.removed),
        moved=sum(difference.moved.values()),
        changed=max(difference.changed.values(), default=0),
        reason=reason,
        rows=difference.rows,
    )
