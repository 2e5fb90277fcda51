"""A fetched domain as the judge and the evaluation read it: its pictures a row group at a time, and who they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bamkit.common.contract import ATTRIBUTES, attribute
from bamkit.common.errors import BamkitError
from bamkit.common.shards import ShardReader, read_about, read_schema, read_table
from bamkit.common.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa


# What identifies an image, for the judge's refusal.
IDENTITY = ("mid", "project_id", "original_sha256", "phash")


@dataclass
class FetchedDomain:
    """One side of a run: a fetched split of the workspace."""

    name: str
    workspace: Workspace

    def shards(self, split: str, columns: Sequence[str] = ("mid", *ATTRIBUTES)) -> ShardReader:
        """The pictures of `train`, `test` or `validation`; empty if there are none."""
        return ShardReader(self.workspace.shards(self.name, split), columns)

    @cached_property
    def identity(self) -> pa.Table:
        """The columns IDENTITY of every picture of the domain, whatever its split."""
        paths = [path for split in ("train", "test", "validation") for path in self.workspace.shards(self.name, split)]
        return ShardReader(paths, IDENTITY).table()

    @cached_property
    def split_id(self) -> str | None:
        """The content-addressed id of the split, from its provenance."""
        paths = self.workspace.shards(self.name, "train") or self.workspace.shards(self.name, "test")
        return read_about(paths[0]).get("split_id") if paths else None

    @cached_property
    def attribute(self) -> str | None:
        """The attribute the domain stands for: the one whose scores ranked it, else the one it is named after.

        None if neither is one of the 20.
        """
        paths = [*self.workspace.shards(self.name, "train"), *self.workspace.shards(self.name, "test")]
        if paths and "score" in read_schema(paths[0]).names:
            head = read_table(paths[0], ["score", *(f"{name}_score" for name in ATTRIBUTES)])
            if head.num_rows and not head["score"].null_count:
                for name in ATTRIBUTES:
                    if head[f"{name}_score"].equals(head["score"]):
                        return name
        try:
            return attribute(self.name)
        except BamkitError:
            return None
