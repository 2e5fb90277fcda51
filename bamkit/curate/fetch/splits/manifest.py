"""A selection as fetch reads it: a few numbers a row in memory, everything else streamed from the file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bamkit.common.contract import SPLITS, selection_schema
from bamkit.common.errors import BamkitError
from bamkit.common.shards import damaged_file, read_about, read_schema, read_table, stream_tables

ROWS = 4096
"""Rows that are read from the file at a time."""
Rows = NDArray[np.int64]
"""Numbers of rows of a manifest, counted in order of rank."""


class Manifest:
    """A selection: rows are numbered in order of rank; 17 bytes of each are held.

    The file stays open, so that all of a fetch reads the same selection, also if it is made anew meanwhile.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self._file: Any = pa.OSFile(os.fsencode(path))
        self.about: Mapping[str, Any] = read_about(path)
        there = read_schema(path).names
        absent = [column for column in selection_schema().names if column not in there]
        if absent:
            raise BamkitError(f"{path} is no selection of bamkit: it lacks {', '.join(absent[:4])}", "bamkit select")
        head = read_table(path, ("mid", "rank", "split"))
        for column in ("mid", "rank"):
            if head[column].null_count:
                raise BamkitError(f"{path} is no selection of bamkit: a row has no {column}", "bamkit select")
        rank = head["rank"].to_numpy()
        self._sorted: pa.Table | None = None
        if (rank[1:] < rank[:-1]).any():  # no file of bamkit's
            self._sorted = read_table(path, selection_schema().names).sort_by("rank")
            head = self._sorted
        self.mid: NDArray[np.int64] = head["mid"].to_numpy().astype(np.int64)
        self.rank: NDArray[np.int32] = head["rank"].to_numpy().astype(np.int32)
        self.split: NDArray[np.int8] = _codes(head["split"], path)
        self.address: NDArray[np.int32] = np.full(len(self.mid), -1, np.int32)
        """The number of each row's address among those of all selections of a fetch (see `number_addresses`); -1 where
        it has none."""
        if np.unique(self.mid).size != self.mid.size:
            raise BamkitError(f"{path}: the same mid occurs twice", "bamkit select ... --force   # makes it anew")

    def __len__(self) -> int:
        return len(self.mid)

    @property
    def selection_id(self) -> str | None:
        return self.about.get("selection_id")

    def rows(self, split: str) -> Rows:
        """The rows of one split."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def stream(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Some columns of all rows, a few thousand rows at a time, in the types of the contract."""
        schema = pa.schema([selection_schema().field(name) for name in columns])
        if self._sorted is not None:
            table = self._sorted.select(list(columns))
            tables: Iterable[Any] = (table.slice(start, ROWS) for start in range(0, len(self), ROWS))
        else:
            tables = stream_tables([self.path], columns, ROWS, source=self._file)
        try:
            yield from (part.cast(schema) for part in tables)
        except pa.ArrowException as error:
            raise damaged_file(self.path, error) from error

    def take(self, rows: Rows, columns: Sequence[str], sizes: Iterable[int]) -> Iterator[pa.Table]:
        """Some columns of ascending `rows`, as tables of the given numbers of rows; the file is read through once."""
        parts, held, start, taken = [], 0, 0, 0
        tables = self.stream(columns)
        for size in sizes:
            while held < size and taken < len(rows):
                table = next(tables)
                inside = rows[taken : np.searchsorted(rows, start + table.num_rows)] - start
                start, taken, held = start + table.num_rows, taken + len(inside), held + len(inside)
                parts += [table.take(pa.array(inside))] if len(inside) else []
            if not held:
                return
            joined = pa.concat_tables(parts)
            yield joined.slice(0, size).combine_chunks()
            parts, held = [joined.slice(size)], max(0, held - size)

    def urls(self, rows: Rows, size: int) -> Iterator[tuple[list[int], list[str | None]]]:
        """Ascending `rows` with their addresses, `size` rows at a time."""
        for number, table in enumerate(self.take(rows, ("src",), repeat(size))):
            yield rows[number * size : (number + 1) * size].tolist(), table["src"].to_pylist()


def _codes(names: Any, path: Path) -> NDArray[np.int8]:
    """The place in SPLITS of each name. Raises BamkitError where one is not there."""
    encoded = names.combine_chunks().dictionary_encode()
    known = encoded.dictionary.to_pylist() + ([None] if encoded.null_count else [])
    strange = sorted(str(name) for name in known if name not in SPLITS)
    if strange:
        raise BamkitError(f"{path}: unknown split {strange[0]!r}; there are {', '.join(SPLITS)}")
    places = np.array([SPLITS.index(name) for name in known], np.int8)
    return places[encoded.indices.to_numpy()] if len(names) else np.zeros(0, np.int8)


def number_addresses(manifests: Sequence[Manifest]) -> int:
    """Number the addresses of all rows, equal ones alike; returns how many numbers there are.

    They are told apart by a hash of 128 bits: the addresses themselves would be most of what a fetch holds.
    """
    digests, lacking = bytearray(), [np.zeros(0, bool)]
    for manifest in manifests:
        for table in manifest.stream(("src",)):
            for url in table["src"].to_pylist():
                digests += hashlib.blake2b((url or "").encode(), digest_size=16).digest()
            lacking.append(table["src"].is_null().to_numpy())
    unique, numbers = np.unique(np.frombuffer(digests, "S16"), return_inverse=True)
    all_numbers: NDArray[np.int32] = np.where(np.concatenate(lacking), -1, numbers).astype(np.int32)
    start = 0
    for manifest in manifests:
        manifest.address = all_numbers[start : start + len(manifest)]
        start += len(manifest)
    return len(unique)
