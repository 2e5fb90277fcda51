"""The rows to be exported: fetched splits with their pictures, or a selection manifest without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from bamkit.common.contract import SPLITS, split_schema
from bamkit.common.errors import BamkitError
from bamkit.common.licences import Licence, licence
from bamkit.common.shards import stream_rows, stream_tables
from bamkit.common.tombstones import Tombstones
from bamkit.common.workspace import Workspace
from bamkit.curate.audit.domain import DomainTables, domains_of, read_domain

USED = ("train", "test", "validation")
"""Reserve images have taken other images' places or are not used: with pictures they are no split of their own."""


@dataclass
class Source:
    """One name of the workspace on its way out."""

    domain: DomainTables
    shards: dict[str, list[Path]]
    """Split -> parquet files; empty where nothing was fetched."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Reason -> images that are not exported for their licence."""
    allowed: dict[str | None, Licence] = field(default_factory=dict)
    licensed_only: bool = False
    wanted: tuple[str, ...] = USED
    forgotten: Tombstones = field(default_factory=Tombstones)
    """Images that were removed on request."""

    @property
    def name(self) -> str:
        return self.domain.name

    def licence_of(self, text: str | None) -> Licence:
        """The licence, read once."""
        if text not in self.allowed:
            self.allowed[text] = licence(text)
        return self.allowed[text]

    def kept(self, row: dict[str, Any]) -> bool:
        if self.forgotten.covers(row["mid"], row["src"]):
            return False
        return not self.licensed_only or self.licence_of(row["license"]).allowed

    @property
    def splits(self) -> list[str]:
        """The splits that hold images after the licence filter, in order."""
        return [split for split, count in self.counts.items() if count]

    @property
    def counts(self) -> dict[str, int]:
        """Images a split that will be exported."""
        return {split: len(rows) for split, rows in self.table_rows.items()}

    @cached_property
    def table_rows(self) -> dict[str, list[dict[str, Any]]]:
        """The rows without pictures that will be exported, a split."""
        rows = self.domain.rows.to_pylist()
        return {split: [r for r in rows if r["split"] == split and self.kept(r)] for split in self.wanted}

    def pictures(self, split: str) -> Iterator[dict[str, Any]]:
        """The rows of a split with their pictures, a few at a time. Raises BamkitError for a row without a picture."""
        for path in self.shards.get(split, []):
            for row in stream_rows([path], split_schema().names):
                if not self.kept(row):
                    continue
                if not (row["image"] or {}).get("bytes"):
                    raise BamkitError(f"{path} holds no picture for {row['mid']}", "delete it, then: bamkit fetch")
                yield row

    def tables(self, split: str) -> Iterator[pa.Table]:
        """The same as tables of contract.split_schema()."""
        for table in stream_tables(self.shards.get(split, []), split_schema().names):
            keep = [self.kept(row) for row in table.select(["mid", "src", "license"]).to_pylist()]
            yield table.filter(pa.array(keep, pa.bool_()))


def read_sources(workspace: Workspace, names: list[str], licensed_only: bool, pictures: bool) -> list[Source]:
    """The named splits, or selections where `pictures` are not needed; by default all that are not a judge's.

    Raises BamkitError where there is none, where a selection was not fetched yet but pictures are needed, and where the
    licence filter leaves nothing.
    """
    if not names:
        there = domains_of(workspace)
        names = [name for name in there if workspace.shards(name, "train") or workspace.shards(name, "test")]
        names = names or ([] if pictures else there)
    if not names:
        raise BamkitError(f"there is no split in {workspace.splits} to export", "bamkit fetch")
    if len(set(names)) < len(names):
        raise BamkitError(f"{next(n for n in names if names.count(n) > 1)} is named twice")
    sources = []
    forgotten = Tombstones.of(workspace)
    for name in names:
        domain = read_domain(workspace, name)
        if pictures and not domain.fetched:
            raise BamkitError(f"{name} is a selection whose pictures were not fetched", "bamkit fetch   # or --to csv")
        wanted = USED if domain.fetched else SPLITS
        shards = {split: workspace.shards(name, split) for split in USED}
        source = Source(domain, shards, licensed_only=licensed_only, wanted=wanted, forgotten=forgotten)
        for row in domain.rows.to_pylist():
            licence = source.licence_of(row["license"])
            if row["split"] in wanted and not licence.allowed:
                source.left_out[licence.reason] += 1
        if licensed_only and not source.splits:
            raise BamkitError(f"no image of {name} has a licence that allows passing it on")
        sources.append(source)
    return sources
