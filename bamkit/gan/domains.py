"""A fetched domain as the judge and the evaluation read it: its pictures a row group at a time, and who they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bamkit.common.contract import ATTRIBUTES, attribute
from bamkit.common.errors import BamkitError
from bamkit.common.images import BadPictureError, open_picture
from bamkit.common.provenance import read_about, read_table, unreadable
from bamkit.common.workspace import Workspace

if TYPE_CHECKING:
    from bamkit.common.progress import Progress


class Shards:
    """The rows of parquet shards, one row group in memory at a time: its pictures and the columns asked for.

    Nothing of it grows with the number of rows but the list of row groups.
    """

    def __init__(self, paths: Sequence[Path], columns: Sequence[str]) -> None:
        """Raises BamkitError if a file cannot be read or lacks `columns` or `image`."""
        self.paths, self.columns = list(paths), tuple(columns)
        self._groups: list[tuple[int, int]] = []  # file, row group
        self._held: tuple[int, Any] = (-1, None)
        self._open: tuple[int, Any] = (-1, None)
        starts = [0]
        for number, path in enumerate(self.paths):
            file = self._file(number)
            absent = [name for name in ("image", *columns) if name not in file.schema_arrow.names]
            if absent:
                raise BamkitError(f"{path} lacks the columns {', '.join(absent)}: it is no file of bamkit")
            for group in range(file.num_row_groups):
                self._groups.append((number, group))
                starts.append(starts[-1] + file.metadata.row_group(group).num_rows)
        self._starts, self._n = np.array(starts[:-1]), starts[-1]

    def __len__(self) -> int:
        return self._n

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of some of the columns (default: all), read anew at every call."""
        wanted = list(self.columns if columns is None else columns)
        tables = [self._read(number, wanted) for number in range(len(self.paths))]
        return pa.concat_tables(tables) if tables else pa.table({name: [] for name in wanted})

    def column(self, name: str) -> list[Any]:
        """One column, read anew at every call."""
        return self.table([name])[name].to_pylist()

    def value(self, index: int, name: str) -> Any:
        """The value of one of the columns in row `index`."""
        group, row = self._find(index)
        return self._group(group)[name][row].as_py()

    def encoded(self, index: int) -> bytes:
        """The encoded picture of row `index`. Rows asked for in order cost one read a row group."""
        return (self.value(index, "image") or {}).get("bytes") or b""

    def picture(self, index: int) -> np.ndarray:
        """Row `index` decoded: (H, W, 3) uint8 sRGB. Raises BamkitError naming the row if that is impossible."""
        try:
            return open_picture(self.encoded(index)).rgb
        except BadPictureError as error:
            where = self.paths[self._groups[self._find(index)[0]][0]]
            mid = self.value(index, "mid") if "mid" in self.columns else index
            raise BamkitError(f"{where}: the picture of mid {mid} cannot be read: {error}", "bamkit fetch") from error

    def _find(self, index: int) -> tuple[int, int]:
        """The row group of row `index`, and where it lies in that."""
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        return group, int(index - self._starts[group])

    def _group(self, group: int) -> pa.Table:
        if self._held[0] != group:
            number, inner = self._groups[group]
            self._held = (-1, None)  # so that two row groups are never in memory
            self._held = (group, self._read(number, ["image", *self.columns], inner).combine_chunks())
        return self._held[1]

    def _read(self, number: int, columns: list[str], group: int | None = None) -> pa.Table:
        file = self._file(number)
        groups = range(file.num_row_groups) if group is None else [group]
        try:
            table = file.read_row_groups(groups, columns, use_threads=False)
        except (OSError, pa.ArrowInvalid) as error:
            raise unreadable(self.paths[number], error) from error
        return table.replace_schema_metadata(None)

    def _file(self, number: int) -> pq.ParquetFile:
        """That file, open; one at a time, as each holds the statistics of all its row groups."""
        if self._open[0] != number:
            try:
                self._open = (number, pq.ParquetFile(self.paths[number], pre_buffer=False))
            except (OSError, pa.ArrowInvalid) as error:
                raise unreadable(self.paths[number], error) from error
        return self._open[1]

    def batches(self, size: int, progress: Progress | None = None) -> Iterator[tuple[slice, list[np.ndarray]]]:
        """All pictures in order, `size` at a time, with the rows they are."""
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            yield slice(start, stop), [self.picture(index) for index in range(start, stop)]
            if progress is not None:
                progress.update(progress.done + stop - start)


# What identifies an image, for the judge's refusal.
IDENTITY = ("mid", "project_id", "original_sha256", "phash")


@dataclass
class Domain:
    """One side of a run: a fetched split of the workspace."""

    name: str
    workspace: Workspace

    def shards(self, split: str, columns: Sequence[str] = ("mid", *ATTRIBUTES)) -> Shards:
        """The pictures of `train`, `test` or `validation`; empty if there are none."""
        return Shards(self.workspace.shards(self.name, split), columns)

    @cached_property
    def identity(self) -> pa.Table:
        """The columns IDENTITY of every picture of the domain, whatever its split."""
        paths = [path for split in ("train", "test", "validation") for path in self.workspace.shards(self.name, split)]
        return Shards(paths, IDENTITY).table()

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
        if paths and "score" in pq.read_schema(paths[0]).names:
            head = read_table(paths[0], ["score", *(f"{name}_score" for name in ATTRIBUTES)])
            if head.num_rows and not head["score"].null_count:
                for name in ATTRIBUTES:
                    if head[f"{name}_score"].equals(head["score"]):
                        return name
        try:
            return attribute(self.name)
        except BamkitError:
            return None
