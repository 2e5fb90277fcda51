"""Splits on disk: parquet shards with Hugging Face's image convention, and the table of missing pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from bamkit.common.batches import batched
from bamkit.common.contract import missing_schema, selection_schema, split_schema
from bamkit.common.errors import BamkitError
from bamkit.common.shards import ROWS_PER_GROUP, read_about, shard_names, stream_rows, write_shard, write_table
from bamkit.common.workspace import Workspace, flush, shard_paths, sweep
from bamkit.curate.fetch.faults import FAULTS
from bamkit.curate.fetch.ledger import Row
from bamkit.curate.fetch.originals import Picture
from bamkit.curate.fetch.settings import PictureSettings
from bamkit.curate.fetch.splits.assignment import Manifest, Place


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


SUFFIX = {"jpeg": "jpg", "png": "png", "webp": "webp"}


def write_split(
    folder: Path,
    manifest: Manifest,
    places: dict[str, list[Place]],
    rows: Callable[[list[Place]], Iterator[tuple[Place, Row]]],
    picture: Callable[[str], Picture],
    about: dict[str, Any],
    how: PictureSettings,
    shard_rows: int,
    step: Callable[[int], None],
) -> None:
    """Write all shards of a split folder under temporary names, then put them in place of the old ones.

    Memory holds two row groups at a time. `rows` adds the ledger's rows to places; `step` is told how many rows are
    written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    ready: list[tuple[Path, Path]] = []
    try:
        for split, split_places in places.items():
            for number, name in enumerate(shard_names(split, len(split_places), shard_rows)):
                path = folder / name
                temporary = folder / f".{name}.{os.getpid()}.tmp"
                ready.append((temporary, path))
                part = split_places[number * shard_rows : (number + 1) * shard_rows]
                batches = (
                    _batch(manifest, split, chunk, rows, picture, how.format)
                    for chunk in batched(part, how.at_once(ROWS_PER_GROUP))
                )
                shard_about = {**about, "split": split}
                write_shard(temporary, split_schema(), shard_about, _ahead(batches), step, path_dictionary=True)
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


def write_missing(
    path: Path,
    manifest: Manifest,
    missing: list[tuple[int, int | None]],
    absence: Callable[[str | None], Absence],
    about: dict[str, Any],
) -> None:
    """Write the missing pictures' table; `absence(url)` says why one is not there."""
    ranks, splits = manifest.table["rank"].to_pylist(), manifest.split
    rows = []
    for row, replaced_by in missing:
        why = absence(manifest.src[row])
        head = (manifest.mid[row], manifest.src[row], ranks[row], splits[row])
        said = (why.outcome, why.reason, why.http_status, why.attempts, replaced_by, why.rule)
        rows.append(dict(zip(missing_schema().names, (*head, *said), strict=True)))
    write_table(pa.Table.from_pylist(rows, missing_schema()), path, {**about, "split": "missing"})


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


def built_pictures(folder: Path, recipe: dict[str, Any], wanted: set[str]) -> Iterator[tuple[str, Picture]]:
    """Pictures of earlier shards that were built in the same way, by the hash of their original."""
    same = [path for path in shard_paths(folder) if about_of(path).get("build") == recipe]
    for row in stream_rows(same, ["image", "width", "height", "original_sha256", "phash"]):
        if row["original_sha256"] in wanted:
            picture = Picture(row["image"]["bytes"], row["width"], row["height"], row["phash"])
            yield row["original_sha256"], picture


def _batch(
    manifest: Manifest,
    split: str,
    places: list[Place],
    rows: Callable[[list[Place]], Iterator[tuple[Place, Row]]],
    picture: Callable[[str], Picture],
    format_name: str,
) -> pa.Table:
    picked = manifest.table.take([place.row for place in places])
    schema = split_schema()
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for name in selection_schema().names:
        columns[name] = picked[name].to_pylist()
    columns["split"] = [split] * len(places)
    for place, row in rows(places):
        made = picture(row.sha256 or "")
        name = f"{manifest.mid[place.row]}.{SUFFIX[format_name]}"
        columns["image"].append({"bytes": made.data, "path": name})
        values = (place.replaces, made.width, made.height, row.width, row.height, row.format, row.bytes, row.sha256)
        for column, value in zip(schema.names[-9:], (*values, made.phash), strict=True):
            columns[column].append(value)
    return pa.table(columns, schema)


def _ahead(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same tables, each made by a thread while the one before is written."""
    making = iter(tables)
    with ThreadPoolExecutor(1, thread_name_prefix="bamkit-rows") as pool:
        coming = pool.submit(next, making, None)
        while (table := coming.result()) is not None:
            coming = pool.submit(next, making, None)
            yield table
