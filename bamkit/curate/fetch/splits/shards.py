"""Splits on disk: parquet shards with Hugging Face's image convention, and the table of missing pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from bamkit.common.contract import missing_schema, selection_schema, split_schema
from bamkit.common.errors import BamkitError
from bamkit.common.shards import (
    ROWS_PER_GROUP,
    open_writer,
    read_about,
    shard_names,
    stream_rows,
    with_about,
    write_shard,
)
from bamkit.common.workspace import Workspace, atomic_path, flush, shard_paths, sweep
from bamkit.curate.fetch.faults import FAULTS
from bamkit.curate.fetch.ledger import Row
from bamkit.curate.fetch.originals import Picture
from bamkit.curate.fetch.settings import PictureSettings
from bamkit.curate.fetch.splits.assignment import Places
from bamkit.curate.fetch.splits.manifest import Manifest


@dataclass(frozen=True)
class Absence:
    """Why a picture could not be had."""

    outcome: str
    """A key of faults.FAULTS."""
    http_status: int | None = None
    attempts: int = 0
    rule: str | None = None
    """What its host said about fetching it."""

    @property
    def reason(self) -> str:
        """The outcome's fixed sentence: the words of the moment (in the ledger) may differ between two runs."""
        return FAULTS[self.outcome].text


MISSING_PER_GROUP = 1 << 20
"""Rows of a row group of the table of missing pictures."""
SUFFIX = {"jpeg": "jpg", "png": "png", "webp": "webp"}


def write_split(
    folder: Path,
    manifest: Manifest,
    places: dict[str, Places],
    rows: Callable[[Sequence[str | None]], Iterator[Row]],
    picture: Callable[[str], Picture],
    about: dict[str, Any],
    how: PictureSettings,
    shard_rows: int,
    step: Callable[[int], None],
) -> None:
    """Write all shards of a split folder under temporary names, then put them in place of the old ones.

    Memory holds two row groups at a time. `rows` gives the ledger's rows of addresses; `step` is told how many rows are
    written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    ready: list[tuple[Path, Path]] = []
    try:
        for split, split_places in places.items():
            sizes = [_group_sizes(min(shard_rows, left), how) for left in range(len(split_places), 0, -shard_rows)]
            tables = _tables(manifest, split, split_places, chain.from_iterable(sizes), rows, picture, how.format)
            for name, own in zip(shard_names(split, len(split_places), shard_rows), sizes or [[]], strict=True):
                temporary = folder / f".{name}.{os.getpid()}.tmp"
                ready.append((temporary, folder / name))
                shard_about = {**about, "split": split}
                coming = _ahead(islice(tables, len(own)))
                write_shard(temporary, split_schema(), shard_about, coming, step, path_dictionary=True)
        for temporary, path in ready:
            os.replace(temporary, path)
        keep = {path.name for _, path in ready}
        for old in shard_paths(folder):
            if old.name not in keep:
                old.unlink()
        flush(folder)
    finally:
        for temporary, _ in ready:
            temporary.unlink(missing_ok=True)


def _group_sizes(rows: int, how: PictureSettings) -> list[int]:
    """How many rows each row group of a shard of `rows` rows is made of."""
    most = how.at_once(ROWS_PER_GROUP)
    return [min(most, left) for left in range(rows, 0, -most)]


def write_missing(path: Path, rows: Iterable[list[tuple[Any, ...]]], about: dict[str, Any]) -> None:
    """Write the missing pictures' table: `rows` are lists of rows with the values of the contract's columns."""
    schema = with_about(missing_schema(), {**about, "split": "missing"})
    with atomic_path(path) as temporary, open_writer(temporary, schema, compression="zstd") as writer:
        parts, held, written = [schema.empty_table()], 0, False
        for batch in rows:
            columns = dict(zip(schema.names, map(list, zip(*batch, strict=True)), strict=True))
            parts.append(pa.table(columns, schema))
            held += len(batch)
            if held >= MISSING_PER_GROUP:
                joined = pa.concat_tables(parts)
                writer.write_table(joined.slice(0, MISSING_PER_GROUP).combine_chunks(), MISSING_PER_GROUP)
                parts, held, written = [joined.slice(MISSING_PER_GROUP)], held - MISSING_PER_GROUP, True
        if held or not written:
            writer.write_table(pa.concat_tables(parts).combine_chunks(), MISSING_PER_GROUP)


def move_former_missing(workspace: Workspace, name: str) -> None:
    """Move the table of missing pictures out of the split's folder, where earlier versions wrote it."""
    former = workspace.missing(name)
    if former.parent == workspace.split(name):
        target = workspace.root / "missing" / f"{name}.parquet"
        target.parent.mkdir(exist_ok=True)
        os.replace(former, target)


def is_current(folder: Path, names: Iterable[str], missing: Path, split_id: str) -> bool:
    """Whether the folder holds exactly these shards, all of this split id and readable, and `missing` is theirs."""
    names = set(names)
    if {path.name for path in folder.glob("*.parquet")} != names:
        return False
    paths = [*(folder / name for name in names), missing]
    return all(about_of(path).get("split_id") == split_id for path in paths)


def about_of(path: Path) -> dict[str, Any]:
    """The metadata of a shard; {} if it is damaged: it will be written anew."""
    try:
        return read_about(path)
    except BamkitError:
        return {}


def damaged(folder: Path, missing: Path) -> list[Path]:
    """The parquet files of a split that are there and cannot be read."""
    paths = [*sorted(folder.glob("*.parquet")), *([missing] if missing.exists() else [])]
    return [path for path in paths if not about_of(path)]


def built_at(folder: Path) -> dict[str, Any] | None:
    """How the pictures that lie in a split folder were built; None if there are none."""
    for path in shard_paths(folder):
        build: dict[str, Any] | None = about_of(path).get("build")
        if build:
            return build
    return None


def built_pictures(folder: Path, recipe: dict[str, Any]) -> Iterator[tuple[str, Picture]]:
    """Pictures of earlier shards that were built in the same way, by the hash of their original."""
    same = [path for path in shard_paths(folder) if about_of(path).get("build") == recipe]
    for row in stream_rows(same, ["image", "width", "height", "original_sha256", "phash"]):
        picture = Picture(row["image"]["bytes"], row["width"], row["height"], row["phash"])
        yield row["original_sha256"], picture


def _tables(
    manifest: Manifest,
    split: str,
    places: Places,
    sizes: Iterable[int],
    rows: Callable[[Sequence[str | None]], Iterator[Row]],
    picture: Callable[[str], Picture],
    format_name: str,
) -> Iterator[pa.Table]:
    """The rows of a split as they are written, in tables of the given sizes."""
    schema, start = split_schema(), 0
    for picked in manifest.take(places.rows, selection_schema().names, sizes):
        columns: dict[str, Any] = {name: picked[name] for name in picked.column_names}
        columns |= {name: [] for name in schema.names if name not in columns}
        columns["split"] = [split] * picked.num_rows
        mids, instead = picked["mid"].to_pylist(), places.instead[start : start + picked.num_rows].tolist()
        for mid, other, row in zip(mids, instead, rows(picked["src"].to_pylist()), strict=True):
            made = picture(row.sha256 or "")
            columns["image"].append({"bytes": made.data, "path": f"{mid}.{SUFFIX[format_name]}"})
            replaces = None if other < 0 else int(manifest.mid[other])
            values = (replaces, made.width, made.height, row.width, row.height, row.format, row.bytes, row.sha256)
            for column, value in zip(schema.names[-9:], (*values, made.phash), strict=True):
                columns[column].append(value)
        start += picked.num_rows
        yield pa.table(columns, schema)


def _ahead(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same tables, each made by a thread while the one before is written."""
    making = iter(tables)
    with ThreadPoolExecutor(1, thread_name_prefix="bamkit-rows") as pool:
        coming = pool.submit(next, making, None)
        while (table := coming.result()) is not None:
            coming = pool.submit(next, making, None)
            yield table
