"""Translate a run's test pictures, or any pictures, and keep the results with their origin.

Results are PNG files, a before/after grid of each direction, and `translations.parquet` (contract.translation_schema).
Every PNG says in its header which weights made it from which bytes, so that a translation that was interrupted goes on
where it stopped, and one that is complete costs nothing when it is asked for again.
"""

from __future__ import annotations

import csv
import io
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

import bamkit
from bamkit.common.contract import translation_schema
from bamkit.common.errors import BamkitError
from bamkit.common.images import BadPictureError, Opened, open_picture, resized
from bamkit.common.progress import Progress
from bamkit.common.provenance import digest
from bamkit.common.shards import ROWS_PER_GROUP, write_shard
from bamkit.common.shards import read_about as read_table_about
from bamkit.common.workspace import atomic_path, write_bytes, write_text
from bamkit.gan.translate.generator import Translator
from bamkit.gan.translate.grid import before_after, evenly
from bamkit.gan.translate.origin import png_bytes, read_about
from bamkit.gan.translate.sources import Source

TABLE, SKIPPED = "translations.parquet", "skipped.csv"
GRID_PAIRS, GRID_CELL = 24, 176


@dataclass
class Job:
    """One direction: a network and the pictures it is to translate."""

    direction: str
    """Such as `happy-to-scary`; also the folder's name."""
    domains: tuple[str, str]
    """The names over the grid's columns, such as ("happy", "scary")."""
    translator: Translator
    sources: Callable[[], Iterable[Source]]
    """The pictures, in order; called once."""
    count: int
    """How many there are."""
    size: int = 0
    """Pictures are resized to this shorter side before they are translated; 0 leaves them as they are."""


@dataclass(frozen=True)
class Maker:
    """What made the translations: the columns `run`, `run_id` and `checkpoint`."""

    run: str
    run_id: str
    checkpoint: str
    about: dict[str, Any] = field(default_factory=dict)
    """More provenance for the parquet's metadata, such as {"split_ids": {...}}."""


@dataclass
class Outcome:
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


@dataclass
class Result:
    """What `translate` made."""

    output: Path
    table: Path
    directions: list[Outcome]
    seconds: float
    notes: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    """A line for each folder of pictures: how many were taken and how many left out."""

    @property
    def pictures(self) -> int:
        """Translations that are there now, in all directions."""
        return sum(one.translated + one.kept for one in self.directions)


def translate(
    jobs: list[Job], maker: Maker, output: Path, *, batch: int = 1, force: bool = False, ours: bool = False
) -> Result:
    """Run the jobs and write `output`.

    `ours` marks a folder that bamkit chose: what an interrupted call left there is gone on with. Any other folder
    must be new or empty unless `force` is given; then what the same weights made already is kept, the rest replaced.
    Pictures that cannot be read are skipped and recorded in skipped.csv. Raises BamkitError where `output` may not be
    written, or where no picture at all could be read.
    """
    started = time.monotonic()
    if batch < 1:
        raise BamkitError(f"a batch of {batch} holds no picture", "--batch 8")
    about = {
        "kind": "translation",
        "run": maker.run,
        "run_id": maker.run_id,
        "checkpoint": maker.checkpoint,
        "directions": [job.direction for job in jobs],
        "weights": {job.direction: job.translator.id for job in jobs},
        "size": max(job.size for job in jobs),
        "bamkit": bamkit.__version__,
        **maker.about,
    }
    about["translation_id"] = digest(about)
    _may_write(output, about, force, ours)
    output.mkdir(parents=True, exist_ok=True)
    outcomes = []
    with Progress("translate", sum(job.count for job in jobs)) as progress:
        for job in jobs:
            before = sum(len(one.rows) + len(one.skipped) for one in outcomes)
            outcomes.append(_run(job, maker, output / job.direction, batch, force, progress, before))
    if not any(one.rows for one in outcomes):
        if not any(output.iterdir()):
            output.rmdir()
        raise BamkitError(_nothing(outcomes))
    for job, one in zip(jobs, outcomes, strict=True):
        one.grid = output / f"{job.direction}.png" if one.rows else None
    _write_skipped(output / SKIPPED, outcomes)
    _write_table(output, about, outcomes)
    return Result(output, output / TABLE, outcomes, time.monotonic() - started)


def _nothing(outcomes: list[Outcome]) -> str:
    bad = [row for one in outcomes for row in one.skipped]
    if not bad:
        return "there is no picture to translate"
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return f"no picture could be read: {bad[0]['source']}: {bad[0]['reason']}{more}"


def _may_write(output: Path, about: dict[str, Any], force: bool, ours: bool) -> None:
    if output.exists() and not output.is_dir():
        raise BamkitError(f"{output} is a file: translations go into a folder", "--output DIR")
    if force or not output.is_dir() or not any(output.iterdir()):
        return
    table = output / TABLE
    if not ours:
        raise BamkitError(
            f"{output} is not empty",
            "give --force to go on there: finished translations are kept, the rest is replaced",
        )
    if table.is_file() and read_table_about(table).get("translation_id") != about["translation_id"]:
        found = read_table_about(table)
        raise BamkitError(
            f"{output} holds other translations (checkpoint {found.get('checkpoint')}, {found.get('split', 'files')})",
            "give --force to replace them, or --output DIR",
        )


def _run(job: Job, maker: Maker, folder: Path, batch: int, force: bool, progress: Progress, before: int) -> Outcome:
    """Translate one direction and draw its grid."""
    one = Outcome(job.direction)
    shown = set(evenly(job.count, GRID_PAIRS))
    thumbs: dict[int, Image.Image] = {}
    rows: dict[int, dict[str, Any]] = {}
    waiting: dict[tuple[int, int], list[tuple[int, Source, str, Opened]]] = {}
    job.translator.in_tiles = 0

    def finish(group: list[tuple[int, Source, str, Opened]]) -> None:
        results = job.translator([opened.rgb for _, _, _, opened in group])
        for (index, source, key, opened), result in zip(group, results, strict=True):
            origin = _origin(job, maker, source, key)
            save(folder / source.target, result, opened.alpha, _said(job, origin))
            rows[index] = _row(job, source, origin, *opened.size)
            one.translated += 1
        progress.update(before + len(rows) + len(one.skipped))

    with _saver() as save:
        for index, source, key, opened, kept in _opened(job, maker, folder, shown):
            if isinstance(opened, str):
                one.skipped.append({"mid": source.mid, "source": source.name, "reason": opened})
            elif opened is not None and index in shown:
                thumbs[index] = _thumb(opened.rgb, opened.alpha)
            if kept is not None:
                rows[index] = _row(job, source, _origin(job, maker, source, key), *kept)
                one.kept += 1
            elif isinstance(opened, Opened):
                _refuse_foreign(folder / source.target, force)
                group = waiting.setdefault(job.translator.padded_size(*opened.size), [])
                group.append((index, source, key, opened))
                if len(group) >= min(batch, job.translator.fits(*opened.size) or 1):
                    finish(waiting.pop(job.translator.padded_size(*opened.size)))
                elif sum(map(len, waiting.values())) >= 4 * batch:
                    finish(waiting.pop(max(waiting, key=lambda size: len(waiting[size]))))
            progress.update(before + len(rows) + len(one.skipped))
        for group in waiting.values():
            finish(group)
    one.in_tiles = job.translator.in_tiles
    one.rows = [rows[index] for index in sorted(rows)]
    _write_grid(folder, job, {i: (thumbs[i], rows[i]["file"]) for i in sorted(thumbs) if i in rows})
    return one


def _opened(
    job: Job, maker: Maker, folder: Path, shown: set[int]
) -> Iterator[tuple[int, Source, str, Opened | str | None, tuple[int, int] | None]]:
    """(index, source, sha256, picture or reason, size of a finished translation), decoded a few ahead in threads."""

    def prepare(index: int, source: Source) -> tuple[int, Source, str, Opened | str | None, tuple[int, int] | None]:
        key = ""
        try:
            data = source.read()
            key = sha256(data).hexdigest()
            kept = _finished(folder / source.target, _said(job, _origin(job, maker, source, key)))
            opened = resized(open_picture(data), job.size) if kept is None or index in shown else None
        except BadPictureError as error:
            return index, source, key, str(error), None
        return index, source, key, opened, kept

    with ThreadPoolExecutor(2, "decode") as pool:
        ahead: deque[Future[Any]] = deque()
        for index, source in enumerate(job.sources()):
            ahead.append(pool.submit(prepare, index, source))
            if len(ahead) >= 8:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


@contextmanager
def _saver() -> Iterator[Callable[..., None]]:
    """A function that encodes and writes in the background, a few pictures at a time; errors come out at the end."""
    with ThreadPoolExecutor(2, "encode") as pool:
        running: deque[Future[None]] = deque()

        def save(path: Path, rgb: np.ndarray, alpha: np.ndarray | None, origin: dict[str, Any]) -> None:
            running.append(pool.submit(lambda: write_bytes(path, png_bytes(rgb, alpha, origin))))
            if len(running) > 8:
                running.popleft().result()

        yield save
        while running:
            running.popleft().result()


def _origin(job: Job, maker: Maker, source: Source, key: str) -> dict[str, Any]:
    """Where a translation comes from, as its row in translations.parquet says it."""
    return {
        "mid": source.mid,
        "source": source.name,
        "source_sha256": key,
        "direction": job.direction,
        "run": maker.run,
        "run_id": maker.run_id,
        "checkpoint": maker.checkpoint,
    }


def _said(job: Job, origin: dict[str, Any]) -> dict[str, Any]:
    """What a PNG says about itself."""
    return {"kind": "translation", **origin, "weights": job.translator.id, "size": job.size}


def _finished(path: Path, said: dict[str, Any]) -> tuple[int, int] | None:
    """Height and width of the translation at `path`, if the same weights made it from the same bytes."""
    if not path.is_file() or read_about(path) != said:
        return None
    with Image.open(path) as image:
        return image.height, image.width


def _refuse_foreign(path: Path, force: bool) -> None:
    if not force and path.exists() and read_about(path).get("kind") != "translation":
        raise BamkitError(f"{path} was not made by bamkit", "give --force to replace it, or --output DIR")


def _row(job: Job, source: Source, origin: dict[str, Any], height: int, width: int) -> dict[str, Any]:
    """A row of translations.parquet; `file` stands for the bytes until the table is written."""
    where = {"file": f"{job.direction}/{source.target}", "split": source.split, "rank": source.rank}
    return origin | where | {"width": width, "height": height}


def _thumb(rgb: np.ndarray, alpha: np.ndarray | None) -> Image.Image:
    image = Image.fromarray(rgb if alpha is None else np.dstack([rgb, alpha]))
    image.thumbnail((GRID_CELL, GRID_CELL), Image.Resampling.LANCZOS)
    return image


def _write_grid(folder: Path, job: Job, shown: dict[int, tuple[Image.Image, str]]) -> None:
    pairs = []
    for before, name in shown.values():
        with Image.open(folder.parent / name) as after:
            after.thumbnail((GRID_CELL, GRID_CELL), Image.Resampling.LANCZOS)
            pairs.append((before, after.copy()))
    if pairs:
        sheet = before_after(pairs, (job.domains[0], f"{job.domains[1]} (translated)"), GRID_CELL)
        buffer = io.BytesIO()
        sheet.save(buffer, "PNG")
        write_bytes(folder.with_name(f"{job.direction}.png"), buffer.getvalue())


def _write_skipped(path: Path, outcomes: list[Outcome]) -> None:
    """skipped.csv, or no such file where nothing was skipped."""
    rows = [{"direction": one.direction, **row} for one in outcomes for row in one.skipped]
    if not rows:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, ["direction", "mid", "source", "reason"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _write_table(output: Path, about: dict[str, Any], outcomes: list[Outcome]) -> None:
    """translations.parquet, read back from the PNG files a group of rows at a time."""
    schema = translation_schema()
    rows = [row for one in outcomes for row in one.rows]

    def tables() -> Iterator[pa.Table]:
        for start in range(0, len(rows), ROWS_PER_GROUP):
            group = []
            for row in rows[start : start + ROWS_PER_GROUP]:
                image = {"bytes": (output / row["file"]).read_bytes(), "path": row["file"]}
                group.append({"image": image, **{name: value for name, value in row.items() if name != "file"}})
            yield pa.Table.from_pylist(group, schema=schema)

    with atomic_path(output / TABLE) as temporary:
        write_shard(temporary, schema, about, tables())
