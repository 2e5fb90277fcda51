"""A domain as balance, check and report see it: what was asked for, what was had, what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bamkit.common.contract import ATTRIBUTES, SPLITS, missing_schema, selection_schema, split_schema
from bamkit.common.errors import BamkitError
from bamkit.common.lineage import require_current, stale_domains
from bamkit.common.shards import ShardReader, read_about, read_schema, read_table
from bamkit.common.workspace import Workspace, is_judges
from bamkit.curate.select.query import making

FETCHED = ("split_id", "build")
"""What only a fetched split knows."""


@dataclass(frozen=True)
class DomainTables:
    """One name of the workspace: its selection manifest, its fetched split, or both."""

    name: str
    requested: pa.Table | None = None
    """The selection manifest; None where only a split is here."""
    obtained: pa.Table | None = None
    """The rows of the fetched shards in the order of their files, without `image`; None where nothing was fetched."""
    missing: pa.Table | None = None
    """contract.missing_schema(): what could not be had."""
    about: dict[str, Any] = field(default_factory=dict)
    """Provenance of the manifest, with what the first shard adds to it (FETCHED); else of the first shard."""

    @property
    def fetched(self) -> bool:
        return self.obtained is not None

    @property
    def rows(self) -> pa.Table:
        """What was had if it was fetched, else what was asked for."""
        rows = self.obtained if self.obtained is not None else self.requested
        assert rows is not None
        return rows

    def split(self, name: str) -> pa.Table:
        """The rows of one split (`train`, `test` ...) of `rows`."""
        return of_split(self.rows, name)

    @property
    def counts(self) -> dict[str, int]:
        """Images a split of `rows`, in the order train, test, validation, reserve; empty splits left out."""
        return split_counts(self.rows)

    @property
    def ranked_by(self) -> str | None:
        """The attribute that ranked this domain: its score column equals `score`. None if none does."""
        return _ranked_by(self.rows)


def of_split(rows: pa.Table, name: str) -> pa.Table:
    return rows.filter(pc.equal(rows["split"], name))


def split_counts(rows: pa.Table) -> dict[str, int]:
    counts = {count["values"]: count["counts"] for count in rows["split"].value_counts().to_pylist()}
    return {name: counts[name] for name in SPLITS if name in counts}


def _ranked_by(rows: pa.Table) -> str | None:
    head = rows.slice(0, 50)
    score = head["score"].to_pylist()
    if not score or None in score:
        return None
    return next((name for name in ATTRIBUTES if head[f"{name}_score"].to_pylist() == score), None)


def read_domain(workspace: Workspace, name: str) -> DomainTables:
    """The domain called `name`.

    Raises BamkitError if the workspace has neither selection nor split of that name, or a split that was fetched for
    another selection than lies there now.
    """
    manifest, lost = workspace.selection(name), workspace.missing(name)
    shards = [path for split in SPLITS for path in workspace.shards(name, split)]
    if not manifest.is_file() and not shards:
        known = sorted({*workspace.selection_names(), *workspace.split_names()})
        hint = f"there are {', '.join(known)}" if known else making(name)
        raise BamkitError(f"no selection or split {name!r} in {workspace.root}", hint)
    require_current(workspace, stale_domains(workspace, [name]))
    about: dict[str, Any] = {}
    requested = obtained = missing = None
    if manifest.is_file():
        about, requested = read_about(manifest), read_manifest(manifest)
    if shards:
        fetched = read_about(shards[0])
        about = {**{key: fetched[key] for key in FETCHED if key in fetched}, **about} if about else fetched
        obtained = pa.concat_tables([_read_shard(path) for path in shards])
        missing = _read_missing(lost) if lost.is_file() else missing_schema().empty_table()
    return DomainTables(name, requested, obtained, missing, about)


def read_manifest(path: Path) -> pa.Table:
    """A selection manifest. Raises BamkitError where it cannot be read or lacks a column of the contract."""
    return _checked(path, selection_schema())


def _read_shard(path: Path) -> pa.Table:
    schema = split_schema()
    return _checked(path, schema.remove(schema.get_field_index("image")))


def _read_missing(path: Path) -> pa.Table:
    """The table of missing images; that of an earlier version does not say what the hosts said (`rule`)."""
    names = missing_schema().names
    if "rule" in read_schema(path).names:
        return read_table(path, columns=names)
    table = read_table(path, columns=names[:-1])
    return table.append_column(missing_schema().field("rule"), pa.nulls(table.num_rows, pa.string()))


def _checked(path: Path, schema: pa.Schema) -> pa.Table:
    there = read_schema(path).names
    lacking = [name for name in schema.names if name not in there]
    if lacking:
        raise BamkitError(f"{path} has no column {lacking[0]!r}: it was not written by bamkit select or fetch")
    try:
        return read_table(path, columns=schema.names).cast(pa.schema(list(schema)))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BamkitError(f"{path} has a column of another type: {str(error).splitlines()[0]}") from error


def domains_of(workspace: Workspace) -> list[str]:
    """The selections and splits that are domains: not those set apart for a judge, unless there are no others."""
    every = sorted({*workspace.selection_names(), *workspace.split_names()})
    return [name for name in every if not is_judges(name)] or every


def read_domains(workspace: Workspace, names: list[str] | None = None) -> list[DomainTables]:
    """The named domains, or all of the workspace in the order of their names."""
    wanted = names or sorted({*workspace.selection_names(), *workspace.split_names()})
    return [read_domain(workspace, name) for name in wanted]


def abouts(domains: Sequence[DomainTables]) -> dict[str, dict[str, Any]]:
    """Name -> provenance."""
    return {domain.name: domain.about for domain in domains}


def read_pictures(workspace: Workspace, name: str, split: str, positions: Sequence[int]) -> list[dict[str, Any]]:
    """The rows (image, mid, rank, score) at `positions` (increasing) of a split, reading only their row groups."""
    shards = ShardReader(workspace.shards(name, split), ("mid", "rank", "score"))
    return [shards.row(position) for position in positions]
