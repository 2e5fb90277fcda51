"""Removals: each is one file or folder of the workspace that is changed or taken away, and how. All may be repeated."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bamkit.common.errors import BamkitError
from bamkit.common.pictures.reader import SUFFIXES
from bamkit.common.shards import read_about, read_schema, read_table, stream_tables, write_shard
from bamkit.common.tombstones import Tombstones
from bamkit.common.workspace import atomic_path, flush, write_text

IDENTITY = ("mid", "src", "original_sha256", "source_sha256", "phash")
"""Columns of the contract that say which picture a row is of."""
EXPORT_MARK = "bamkit-export.json"


@dataclass(frozen=True)
class Removal:
    """One step of forgetting. A second `act` changes nothing."""

    path: Path
    what: str
    """`split`, `translations`, `page`, … for people."""
    pictures: int | None
    """Pictures that it holds of those to be forgotten; None where that is not counted."""
    act: Callable[[], None]
    renew: str = ""
    """The command that makes it anew without them."""


def unlink(path: Path) -> Callable[[], None]:
    """The act that removes a file for good."""

    def act() -> None:
        path.unlink(missing_ok=True)
        flush(path.parent)

    return act


def matching_rows(path: Path, forgotten: Tombstones) -> int:
    """How many rows of a parquet file are of forgotten pictures."""
    columns = [name for name in IDENTITY if name in read_schema(path).names]
    return int(forgotten.rows(read_table(path, columns)).sum()) if columns else 0


def without_rows(path: Path, forgotten: Tombstones) -> Callable[[], None]:
    """The act that writes a parquet file with pictures anew, without the rows of forgotten pictures.

    Its provenance stays, ids and all (what was made from it was), and says how many rows were taken out.
    """

    def act() -> None:
        schema, about = read_schema(path), read_about(path)
        removed = about.get("forgotten", 0) + matching_rows(path, forgotten)
        kept = (table.filter(~forgotten.rows(table)) for table in stream_tables([path]))
        with atomic_path(path) as temporary:
            split = about.get("kind") == "split"
            write_shard(temporary, schema, {**about, "forgotten": removed}, kept, path_dictionary=split)

    return act


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raises BamkitError where a file cannot be read: nobody can say then whether a picture is gone from it."""
    try:
        yield
    except (ValueError, csv.Error, tarfile.TarError) as error:
        raise BamkitError(
            f"{path} cannot be read, so a picture to be forgotten may be in it: {error}",
            "mend or remove it, then the same command",
        ) from error


def in_csv(path: Path, forgotten: Tombstones) -> Removal | None:
    """The removal of the lines of a table whose `mid` is that of a forgotten picture."""
    with _reading(path), open(path, newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    if not lines or "mid" not in lines[0]:
        return None
    place = lines[0].index("mid")
    mids = {str(mid) for mid in forgotten.mids}
    kept = [lines[0], *(line for line in lines[1:] if mids.isdisjoint(line[place : place + 1]))]
    if len(kept) == len(lines):
        return None

    def act() -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(kept)
        write_text(path, text.getvalue())

    return Removal(path, "table", None, act)


def in_tar(path: Path, forgotten: Tombstones) -> Removal | None:
    """The removal of the members of a tar that are named after forgotten pictures."""
    with _reading(path), tarfile.open(path) as tar:
        gone = [member.name for member in tar if _named_after(Path(member.name), forgotten)]
    if not gone:
        return None

    def act() -> None:
        with (
            atomic_path(path) as temporary,
            tarfile.open(path) as old,
            tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as new,
        ):
            for member in old:
                if member.name not in gone:
                    new.addfile(member, old.extractfile(member))

    return Removal(path, "export", sum(Path(name).suffix != ".json" for name in gone), act)


def _named_after(path: Path, forgotten: Tombstones) -> bool:
    """Whether a file is called after the mid of a forgotten picture, as exports and translations call theirs."""
    return path.stem.isdigit() and int(path.stem) in forgotten.mids


def picture_files(folder: Path, forgotten: Tombstones) -> Iterator[Path]:
    """The picture files below a folder that are called after the mid of a forgotten picture."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and _named_after(path, forgotten) and path.is_file():
            yield path


def in_export(folder: Path, forgotten: Tombstones) -> Iterator[Removal]:
    """What an export holds: picture files, members of tars, rows of parquet files, lines of tables; then its card."""
    mark = read_json(folder / EXPORT_MARK)
    domains = mark.get("domains")
    names = [str(each.get("name")) for each in domains if isinstance(each, dict)] if isinstance(domains, list) else []
    again = f"bamkit export {' '.join(names)} --to {mark.get('format')} --output {shlex.quote(str(folder))} --force"
    renew = f"{again}   # counts its card anew"
    removals: list[Removal] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet" and (rows := matching_rows(path, forgotten)):
            removals.append(Removal(path, "export", rows, without_rows(path, forgotten)))
        elif path.suffix == ".tar":
            removals += filter(None, [in_tar(path, forgotten)])
        elif path.suffix == ".csv":
            removals += filter(None, [in_csv(path, forgotten)])
    pictures = list(picture_files(folder, forgotten))
    removals += [Removal(path, "export", 1, unlink(path)) for path in pictures]
    if not removals:
        return
    # First: it names the sums of files that change now.
    for path in folder.glob("croissant.json"):
        yield Removal(path, "export", None, unlink(path), renew)
    yield from removals[:-1]
    last = removals[-1]
    yield Removal(last.path, last.what, last.pictures, last.act, renew)


def in_translations(folder: Path, forgotten: Tombstones, renew: str) -> Iterator[Removal]:
    """What a folder of translations holds: the grids, the files, the table."""
    table = folder / "translations.parquet"
    rows = matching_rows(table, forgotten) if table.is_file() else 0
    files = set(picture_files(folder, forgotten))
    names = read_schema(table).names if table.is_file() else []
    if "image" in names:
        for part in stream_tables([table], [name for name in (*IDENTITY, "image") if name in names]):
            for image, gone in zip(part["image"].to_pylist(), forgotten.rows(part), strict=True):
                path = folder / str((image or {}).get("path"))
                files = files | {path} if gone else files - {path}
    if not rows and not any(path.exists() for path in files):
        return
    for grid in sorted(folder.glob("*.png")):
        yield Removal(grid, "grid", None, unlink(grid), renew)
    for path in sorted(files):
        yield Removal(path, "translation", 1, unlink(path))
    for path in folder.glob("attribution.csv"):
        yield from filter(None, [in_csv(path, forgotten)])
    if rows:
        yield Removal(table, "translations", rows, without_rows(table, forgotten))


def holds_pictures(page: Path, ours: bool) -> bool:
    """Whether an HTML page of bamkit's (one that says so, or any where all are `ours`) has pictures inside."""
    text = page.read_text(encoding="utf-8", errors="replace")
    return bool(re.search(r"data:image/(?:png|webp|jpeg|gif);base64,", text)) and (
        ours or '<meta name="generator" content="bamkit">' in text
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's object, {} for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
