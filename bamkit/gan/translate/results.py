"""What a translation leaves behind: PNG files, a grid of each direction, translations.parquet, lists beside it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from bamkit.common.contract import translation_schema
from bamkit.common.errors import BamkitError
from bamkit.common.licences import ATTRIBUTION, attribution_csv, licence, project_url
from bamkit.common.pages.notebook import as_html, notes
from bamkit.common.pictures.generated import png_information
from bamkit.common.shards import ROWS_PER_GROUP, read_about, write_shard
from bamkit.common.workspace import atomic_path, write_bytes, write_text
from bamkit.gan.translate.grid import before_after

TABLE, SKIPPED, UNFINISHED = "translations.parquet", "skipped.csv", "unfinished.json"
GRID_PAIRS, GRID_CELL = 24, 176


@dataclass
class DirectionResult:
    """What happened to one direction."""

    direction: str
    translated: int = 0
    kept: int = 0
    """Found already translated by the same weights from the same bytes."""
    skipped: list[dict[str, Any]] = field(default_factory=list)
    """One {"mid", "source", "reason"} for each picture that could not be read."""
    in_tiles: int = 0
    grid: Path | None = None
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)
    """Of translations.parquet; `file` stands for the bytes until the table is written, `rights` is Source.rights."""


@dataclass
class Result:
    """What `translate` made."""

    output: Path
    table: Path
    directions: list[DirectionResult]
    seconds: float
    notes: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    """A line for each folder of pictures: how many were taken and how many left out."""

    @property
    def pictures(self) -> int:
        """Translations that are there now, in all directions."""
        return sum(result.translated + result.kept for result in self.directions)

    def rows(self) -> list[dict[str, Any]]:
        """One row a direction, as the command line shows it."""
        return [
            {
                "direction": result.direction,
                "translated": result.translated,
                "there already": result.kept,
                "skipped": len(result.skipped),
                "in tiles": result.in_tiles,
                "grid": str(result.grid) if result.grid else None,
            }
            for result in self.directions
        ]

    def show(self, direction: str | None = None) -> Image.Image:
        """The sheet of befores and afters of a direction (the first by default)."""
        grid = next((one.grid for one in self.directions if direction in (None, one.direction)), None)
        if grid is None:
            raise BamkitError(f"there is no sheet of {direction or 'one picture'}", f"open {self.output}")
        with Image.open(grid) as sheet:
            return sheet.convert("RGB")

    def _repr_html_(self) -> str:
        return as_html(self.rows(), notes(self.notes), f"{self.pictures:,} pictures -> {self.table}")

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        skipped = [row for result in self.directions for row in result.skipped]
        return {"table": str(self.table), "directions": self.rows(), "skipped": skipped, "notes": self.notes}


def begin(output: Path, about: dict[str, Any], force: bool, own_folder: bool) -> None:
    """Make the folder, and note in it what is under way.

    A folder that holds anything is taken if the same translation was begun or finished there, if `force` is given, or
    if it is bamkit's `own_folder` and nothing is known of it. Raises BamkitError otherwise.
    """
    if output.exists() and not output.is_dir():
        raise BamkitError(f"{output} is a file: translations go into a folder", "--output DIR")
    earlier = _earlier(output)
    same = earlier.get("translation_id") == about["translation_id"]
    if not force and output.is_dir() and any(output.iterdir()) and not same:
        if not own_folder:
            raise BamkitError(
                f"{output} is not empty",
                "give --force to go on there: finished translations are kept, the rest is replaced",
            )
        if earlier:
            dose = f", strength {earlier['strength']:g}" if "strength" in earlier else ""
            raise BamkitError(
                f"{output} holds other translations "
                f"(checkpoint {earlier.get('checkpoint')}, {earlier.get('split', 'files')}{dose})",
                "give --force to replace them, or --output DIR",
            )
    output.mkdir(parents=True, exist_ok=True)
    marker = {key: about[key] for key in ("translation_id", "checkpoint", "split", "strength") if key in about}
    write_text(output / UNFINISHED, json.dumps(marker) + "\n")


def _earlier(output: Path) -> dict[str, Any]:
    """What an interrupted translation noted in the folder, else what the finished one says; {} for neither."""
    try:
        note = json.loads((output / UNFINISHED).read_text(encoding="utf-8"))
        return note if isinstance(note, dict) else {}
    except (OSError, ValueError):
        table = output / TABLE
        return read_about(table) if table.is_file() else {}


def finish(output: Path, about: dict[str, Any], results: list[DirectionResult]) -> None:
    """Write the table, skipped.csv and attribution.csv. Raises BamkitError if no picture could be read."""
    if not any(result.rows for result in results):
        (output / UNFINISHED).unlink()
        if not any(output.iterdir()):
            output.rmdir()
        raise BamkitError(_nothing(results))
    for result in results:
        result.grid = output / f"{result.direction}.png" if result.rows else None
    _write_skipped(output / SKIPPED, results)
    _write_attribution(output / ATTRIBUTION, results)
    _write_table(output, about, results)
    (output / UNFINISHED).unlink()


def _nothing(results: list[DirectionResult]) -> str:
    reasons = {row["source"]: row["reason"] for result in results for row in result.skipped}
    if not reasons:
        return "there is no picture to translate"
    source, reason = next(iter(reasons.items()))
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"no picture could be read: {source}: {reason}{more}"


def write_grid(
    output: Path, direction: str, titles: tuple[str, str], shown: list[tuple[Image.Image, str]], mark: str = ""
) -> None:
    """Draw pairs of a thumbnail and a translation's file name, at most GRID_CELL pixels a side; `mark`: its XMP."""
    pairs = []
    for before, name in shown:
        with Image.open(output / name) as after:
            after.thumbnail((GRID_CELL, GRID_CELL), Image.Resampling.LANCZOS)
            pairs.append((before, after.copy()))
    if pairs:
        buffer = io.BytesIO()
        sheet = before_after(pairs, (titles[0], f"{titles[1]} (translated)"), GRID_CELL)
        sheet.save(buffer, "PNG", pnginfo=png_information(mark))
        write_bytes(output / f"{direction}.png", buffer.getvalue())


def _write_skipped(path: Path, results: list[DirectionResult]) -> None:
    """skipped.csv, or no such file where nothing was skipped."""
    rows = [{"direction": result.direction, **row} for result in results for row in result.skipped]
    if not rows:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, ["direction", "mid", "source", "reason"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _write_attribution(path: Path, results: list[DirectionResult]) -> None:
    """attribution.csv: the sources whose licence may ask for it, each once; no such file where there are none."""
    rows = [row for result in results for row in result.rows if row["rights"]]
    sources = {(row["mid"], row["rights"]["domain"]): row for row in rows}
    text = attribution_csv(
        {**row["rights"], "mid": row["mid"], "split": row["split"]}
        for row in sources.values()
        if licence(row["rights"]["license"]).asks
    )
    head, _, listed = text.partition("\n")
    if listed:
        write_text(path, text)
    elif path.is_file() and path.read_text(encoding="utf-8", errors="replace").startswith(head):
        path.unlink()  # of an earlier call here; another file of that name is the user's


def licence_notes(row: dict[str, Any]) -> list[str]:
    """What to say where a single file has no attribution.csv beside it."""
    rights = row["rights"]
    if not rights or not licence(rights["license"]).asks:
        return []
    where = ", ".join(filter(None, (rights["src"], project_url(rights["project_id"]))))
    return [f"the source, mid {row['mid']}, is under {rights['license'] or 'no licence'}: {where}"]


def _write_table(output: Path, about: dict[str, Any], results: list[DirectionResult]) -> None:
    """translations.parquet, read back from the PNG files a group of rows at a time."""
    schema = translation_schema()
    columns = [name for name in schema.names if name != "image"]
    rows = [row for result in results for row in result.rows]

    def tables() -> Iterator[pa.Table]:
        for start in range(0, len(rows), ROWS_PER_GROUP):
            group = []
            for row in rows[start : start + ROWS_PER_GROUP]:
                image = {"bytes": (output / row["file"]).read_bytes(), "path": row["file"]}
                group.append({"image": image, **{name: row[name] for name in columns}})
            yield pa.Table.from_pylist(group, schema=schema)

    with atomic_path(output / TABLE) as temporary:
        write_shard(temporary, schema, about, tables())
