"""Parquet files: reading them whole, by columns, in a stream or by row; writing them with their provenance.

Paths are opened as plain files (`pa.OSFile`), since pyarrow takes a relative path such as `study:1/x.parquet` for an
address.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bamkit.common import contract
from bamkit.common.errors import BamkitError
from bamkit.common.provenance import canonical, is_provenance
from bamkit.common.workspace import atomic_path, flush

if TYPE_CHECKING:
    from bamkit.common.terminal.progress import Progress

KEY = b"bamkit"
"""The key of the schema metadata under which a file's provenance lies as JSON."""
ROWS_PER_GROUP = 100
"""Rows of a row group of a file that holds pictures."""
BUFFER = 1 << 16
"""Bytes of a column that are read at a time."""


def shard_names(split: str, rows: int, shard_rows: int) -> list[str]:
    """`train-00000-of-00002.parquet` and so on for `rows` rows, at most `shard_rows` in a file; at least one name."""
    count = max(1, -(-rows // shard_rows))
    return [f"{split}-{number:05}-of-{count:05}.parquet" for number in range(count)]


def damaged_file(path: Path, error: Exception) -> BamkitError:
    """What to say of a damaged or foreign parquet file."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return BamkitError(
        f"{path} is not a readable parquet file: {lines[0]}",
        "delete it and make it again: bamkit select for a selection, fetch for a split, translate for translations",
    )


@contextmanager
def open_shard(path: Path, columns: Iterable[str] = (), source: Any = None) -> Iterator[Any]:
    """A `pyarrow.parquet.ParquetFile`, closed at the end.

    source: the open file, which is read by parts and left open: of a large row group, whole columns would lie in memory
    else. Raises BamkitError if the file is damaged (also where that shows only while the block reads) or lacks
    `columns`.
    """
    try:
        opened = pa.OSFile(os.fsencode(path)) if source is None else nullcontext(source)
        buffer = 0 if source is None else BUFFER
        with opened as file_of, pq.ParquetFile(file_of, pre_buffer=False, buffer_size=buffer) as file:
            there = set(file.schema_arrow.names)  # made anew at each use
            if lacking := [name for name in columns if name not in there]:
                raise BamkitError(f"{path} has no column {', '.join(lacking)}")
            known = _kinds()
            for name in columns:
                kind = _kind(file.schema_arrow.field(name).type)
                if kind not in ("null", known.get(name, kind)):
                    raise BamkitError(f"{path} has a column {name!r} of another type ({kind}, not {known[name]})")
            yield file
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise damaged_file(path, error) from error


@cache
def _kinds() -> dict[str, str]:
    """The kind of every column of the contract, by name."""
    schemas = (contract.split_schema(), contract.translation_schema(), contract.missing_schema())
    return {field.name: _kind(field.type) for schema in schemas for field in schema}


def _kind(of: Any) -> str:
    """What kind of type a column has, whatever its width: other programs write an int32 back as an int64."""
    types = pa.types
    if types.is_struct(of):
        return "a picture" if of.get_field_index("bytes") >= 0 else "a struct"
    if types.is_dictionary(of):
        return _kind(of.value_type)
    kinds = {
        "a whole number": types.is_integer(of),
        "a number": types.is_floating(of),
        "text": types.is_string(of) or types.is_large_string(of) or types.is_string_view(of),
        "null": types.is_null(of),
    }
    return next((kind for kind, holds in kinds.items() if holds), str(of))


def read_schema(path: Path) -> Any:
    """The arrow schema of a parquet file. Raises BamkitError if it cannot be read."""
    with open_shard(path) as file:
        return file.schema_arrow


def read_about(path: Path) -> dict[str, Any]:
    """The provenance of a parquet file ({} if another program wrote it). Raises BamkitError if unreadable."""
    metadata = read_schema(path).metadata or {}
    try:
        about: dict[str, Any] = json.loads(metadata.get(KEY, b"{}"))
    except ValueError as error:
        raise damaged_file(path, error) from error
    if not is_provenance(about):
        raise damaged_file(path, ValueError("what it says about its origin is not what bamkit writes"))
    return about


def read_table(path: Path, columns: Sequence[str] | None = None) -> Any:
    """A parquet file as an arrow table. Raises BamkitError if it cannot be read or lacks one of `columns`."""
    with open_shard(path, columns or ()) as file:
        # Not pq.read_table: it imports pandas, which takes longer than reading most tables.
        table = file.read(list(columns) if columns else None)
    return table.select(list(columns)) if columns else table


def read_tables(paths: Sequence[Path], columns: Sequence[str]) -> Any:
    """Some columns of several files as one arrow table without metadata."""
    tables = [read_table(path, columns).replace_schema_metadata(None) for path in paths]
    return pa.concat_tables(tables) if tables else pa.table({name: [] for name in columns})


def count_rows(paths: Iterable[Path]) -> int:
    """How many rows the files hold together."""
    total = 0
    for path in paths:
        with open_shard(path) as file:
            total += file.metadata.num_rows
    return total


def stream_tables(
    paths: Iterable[Path], columns: Sequence[str] | None = None, rows: int = ROWS_PER_GROUP, source: Any = None
) -> Iterator[Any]:
    """Arrow tables of at most `rows` rows, in the files' order; only so many rows are in memory at a time.

    `source` as for `open_shard`, where there is but one path.
    """
    for path in paths:
        with open_shard(path, columns or (), source) as file:
            for batch in file.iter_batches(rows, columns=list(columns) if columns else None):
                yield pa.Table.from_batches([batch])


def stream_rows(
    paths: Iterable[Path], columns: Sequence[str] | None = None, rows: int = ROWS_PER_GROUP
) -> Iterator[dict[str, Any]]:
    """The same as dictionaries, a row at a time."""
    for table in stream_tables(paths, columns, rows):
        yield from table.to_pylist()


class ShardReader:
    """The rows of parquet shards by their position, with one row group in memory at a time.

    Nothing of it grows with the number of rows but the list of row groups.
    """

    def __init__(self, paths: Sequence[Path], columns: Sequence[str]) -> None:
        """`columns` are read beside `image`. Raises BamkitError if a file cannot be read or lacks one of them."""
        self.paths, self.columns = list(paths), tuple(columns)
        self._groups: list[tuple[int, int]] = []  # file, row group in it
        self._held: tuple[int, Any] = (-1, None)
        starts = [0]
        for number, path in enumerate(self.paths):
            with open_shard(path, ("image", *columns)) as file:
                for group in range(file.num_row_groups):
                    self._groups.append((number, group))
                    starts.append(starts[-1] + file.metadata.row_group(group).num_rows)
        self._starts: NDArray[np.int64] = np.array(starts[:-1], dtype=np.int64)
        self._rows = starts[-1]

    def __len__(self) -> int:
        return self._rows

    def table(self, columns: Sequence[str] | None = None) -> Any:
        """All rows of some of the columns (default: all but `image`), read anew at every call."""
        return read_tables(self.paths, self.columns if columns is None else columns)

    def column(self, name: str) -> list[Any]:
        """One column, read anew at every call."""
        return list(self.table([name])[name].to_pylist())

    def value(self, index: int, name: str) -> Any:
        """The value of one of the columns in row `index`."""
        group, row = self._locate(index)
        return self._group(group)[name][row].as_py()

    def row(self, index: int) -> dict[str, Any]:
        """`image` and all columns of row `index`. Rows asked for in order cost one read a row group."""
        group, row = self._locate(index)
        values: dict[str, Any] = self._group(group).slice(row, 1).to_pylist()[0]
        return values

    def encoded(self, index: int) -> bytes:
        """The encoded picture of row `index`; empty where there is none."""
        return (self.value(index, "image") or {}).get("bytes") or b""

    def path(self, index: int) -> Path:
        """The file that holds row `index`."""
        return self.paths[self._groups[self._locate(index)[0]][0]]

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Row `index` decoded: (H, W, 3) uint8 sRGB. Raises BamkitError naming the row if that is impossible."""
        from bamkit.common.pictures.reader import (  # Pillow: only where pictures are decoded
            BadPictureError,
            open_picture,
        )

        try:
            return open_picture(self.encoded(index)).rgb
        except BadPictureError as error:
            mid = self.value(index, "mid") if "mid" in self.columns else index
            raise BamkitError(
                f"{self.path(index)}: the picture of mid {mid} cannot be read: {error}", "bamkit fetch"
            ) from error

    def batches(self, size: int, progress: Progress | None = None) -> Iterator[tuple[slice, list[NDArray[np.uint8]]]]:
        """All pictures in order, `size` at a time, with the rows they are."""
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            yield slice(start, stop), [self.picture(index) for index in range(start, stop)]
            if progress is not None:
                progress.update(progress.done + stop - start)

    def _locate(self, index: int) -> tuple[int, int]:
        """The row group of row `index`, and where it lies in that."""
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        return group, int(index - self._starts[group])

    def _group(self, group: int) -> Any:
        if self._held[0] != group:
            number, inner = self._groups[group]
            self._held = (-1, None)  # so that two row groups are never in memory
            with open_shard(self.paths[number]) as file:
                table = file.read_row_group(inner, ["image", *self.columns], use_threads=False)
            self._held = (group, table.replace_schema_metadata(None).combine_chunks())
        return self._held[1]


@contextmanager
def open_writer(path: Path, schema: Any, **layout: Any) -> Iterator[Any]:
    """A `pyarrow.parquet.ParquetWriter`, closed at the end; `layout`: its compression, dictionaries, statistics."""
    with pa.OSFile(os.fsencode(path), "wb") as sink, pq.ParquetWriter(sink, schema, **layout) as writer:
        yield writer


def with_about(schema: Any, about: dict[str, Any]) -> Any:
    """The schema with `about` as JSON under the metadata key `bamkit`, and without what pandas left there."""
    kept = {key: value for key, value in (schema.metadata or {}).items() if key != b"pandas"}
    return schema.with_metadata({**kept, KEY: canonical(about).encode()})


def write_table(table: Any, path: Path, about: dict[str, Any], row_group_size: int | None = None) -> None:
    """Write a table without pictures atomically, with its provenance `about`.

    Same table and same `about` give a byte-identical file; keep times and paths out of `about`.
    """
    table = table.replace_schema_metadata(with_about(table.schema, about).metadata)
    with atomic_path(path) as temporary, pa.OSFile(os.fsencode(temporary), "wb") as sink:
        pq.write_table(table, sink, compression="zstd", row_group_size=row_group_size)


def write_shard(
    path: Path,
    schema: Any,
    about: dict[str, Any],
    tables: Iterable[Any],
    on_rows: Callable[[int], None] = lambda count: None,
    *,
    path_dictionary: bool = False,
) -> None:
    """Write tables with pictures as row groups of one file, and flush it; atomic only under `atomic_path`.

    Pictures are not compressed a second time. `path_dictionary`: whether `image.path` is dictionary-encoded (splits:
    yes; translations and exports: no). `on_rows` is told how many rows were written.
    """
    schema = with_about(schema, about)
    plain = [name for name in schema.names if name != "image"]
    compression = dict.fromkeys([*plain, "image.path"], "zstd") | {"image.bytes": "none"}
    dictionary = [*plain, "image.path"] if path_dictionary else plain
    layout = {"compression": compression, "use_dictionary": dictionary, "write_statistics": plain}
    with open_writer(path, schema, **layout) as writer:
        for table in tables:
            writer.write_table(table.replace_schema_metadata(schema.metadata), row_group_size=ROWS_PER_GROUP)
            on_rows(table.num_rows)
    flush(path)
