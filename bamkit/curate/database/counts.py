"""Counting a database once: in one streaming pass, kept in the workspace while the database does not change."""

from __future__ import annotations

import json
from typing import Any

from bamkit.common.errors import DAMAGED
from bamkit.common.provenance import canonical, digest
from bamkit.common.terminal.progress import Progress
from bamkit.common.workspace import CONFIG, DATABASE, Workspace, write_text
from bamkit.curate.database.accumulator import CountAccumulator, Counts
from bamkit.curate.database.connection import Database

FORMAT = 1
"""Raised when the kept counts change their meaning; counts of another format are counted again."""


def count(database: Database, workspace: Workspace | None = None, progress: bool = True) -> Counts:
    """Count everything: as kept in the workspace, else in one pass over the tables.

    The counts are kept in the workspace (index/counts.json, 30 kB), so that `bamkit report` after `bamkit info` need
    not read the database again. Raises BamkitError if the file is damaged.
    """
    kept = _read(database, workspace) if workspace else None
    if kept:
        return kept
    accumulator = CountAccumulator(database)
    total = sum(database.one(f"SELECT count(*) FROM {table}")[0] for table in ("modules", "scores"))
    with Progress("count", total, "rows") as bar:
        bar.live = bar.live and progress
        done = 0
        for rows in accumulator.read():
            done += rows
            bar.update(min(done, total))
    counts = accumulator.result()
    if workspace:
        _keep(database, workspace, counts)
    return counts


def _read(database: Database, workspace: Workspace) -> Counts | None:
    """The kept counts of this very database; None if there are none."""
    try:
        kept = json.loads((workspace.root / "index" / "counts.json").read_text(encoding="utf-8"))
        counts = kept.pop("counts")
        return Counts.from_dict(counts) if kept == _about(database, counts) else None
    except (OSError, *DAMAGED):
        # Missing, damaged or written by another version: it is counted again.
        return None


def _keep(database: Database, workspace: Workspace, counts: Counts) -> None:
    """Keep the counts if this folder is a workspace: `bamkit info --db FILE` leaves other folders alone."""
    signs = (CONFIG, DATABASE, "selections", "index")
    if not any((workspace.root / sign).exists() for sign in signs):
        return
    values = counts.as_dict()
    text = canonical({**_about(database, values), "counts": values}) + "\n"
    try:
        write_text(workspace.root / "index" / "counts.json", text)
    except OSError:
        # A workspace on read-only media works without.
        return


def _about(database: Database, counts: dict[str, Any]) -> dict[str, Any]:
    """What stands beside the counts. The digest is of the counts: a changed figure would be told as a count."""
    origin = {"kind": "counts", "format": FORMAT, "database": {"fingerprint": database.fingerprint}}
    return {**origin, "digest": digest(counts)}
