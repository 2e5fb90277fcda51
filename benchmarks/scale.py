"""Fetch, check and report on very many pictures: seconds of processor time, and peak memory by the number of rows.

    python benchmarks/scale.py fetch [--rows N ...]       plan, ledger and splits; no network
    python benchmarks/scale.py domains [--rows N ...]     check and report on two domains of N pictures each

Each row is a selection of N images of which the ledger knows nine in ten already, their pictures built ahead, as after
a download that was cut off; the tenth lies at an address of this machine, which bamkit refuses without asking for it,
so that the reserve has to fill its place. `fetch` therefore plans, records, replaces and writes shards and the table of
missing pictures, all through the command, but sends nothing. For `domains` every picture is painted, one in a hundred
as a copy of another one; for `fetch` 48 of them serve in turn. Every measurement is a process of its own.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
from curation import pool
from PIL import Image
from selection import measure

from bamkit.common.batches import batched
from bamkit.common.provenance import digest
from bamkit.common.shards import write_table
from bamkit.common.workspace import Workspace
from bamkit.curate.fetch.ledger import Ledger, Row
from bamkit.curate.fetch.originals import Picture, PictureCache
from bamkit.curate.fetch.settings import PictureSettings
from bamkit.curate.fetch.splits.picture import phash

SIDE = 64
PAINTED = 48
REFUSED = 10
"""One address in so many is refused."""


def painted(seed: int) -> Image.Image:
    """Coarse shapes and some grain, different for every seed."""
    random = np.random.default_rng(seed)
    layers = np.zeros((SIDE, SIDE, 3))
    for cells, weight in ((3, 1.0), (9, 0.6)):
        noise = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        kernel = Image.Resampling.NEAREST if cells == 9 else Image.Resampling.BICUBIC
        layers += weight * np.asarray(noise.resize((SIDE, SIDE), kernel), dtype=float)
    return Image.fromarray((layers / 1.6).astype(np.uint8))


def built(image: Image.Image) -> Picture:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return Picture(file.getvalue(), SIDE, SIDE, phash(image))


def pictures(rows: int, seed: int, distinct: bool) -> Iterator[Picture]:
    """`rows` pictures; where they are to be distinct, one in a hundred mirrors that of a hundred rows before."""
    few = [] if distinct else [built(painted(number)) for number in range(PAINTED)]
    for row in range(rows):
        if not distinct:
            yield few[row % PAINTED]
        elif row % 100 == 99:
            yield built(painted(seed + row - 99).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
        else:
            yield built(painted(seed + row))


def make(folder: Path, name: str, rows: int, flowers: float, distinct: bool) -> None:
    """A selection, its rows in the ledger and its pictures built ahead, as a fetch that was cut off leaves them."""
    seed = 10**7 * (1 + len(Workspace(folder).selection_names()))
    table = pool(rows, flowers, seed)
    places = np.arange(rows)
    refused = places % REFUSED == 0
    urls = [f"http://{'127.0.0.1:9' if no else 'pictures.example'}/{seed + i}.jpg" for i, no in enumerate(refused)]
    splits = np.where(places < 0.7 * rows, "train", np.where(places < 0.8 * rows, "test", "reserve"))
    for column, values in (("src", urls), ("split", splits), ("project_id", (seed + places) // 5)):
        where = table.schema.get_field_index(column)
        table = table.set_column(where, table.schema.field(column), pa.array(values, table.schema.field(column).type))
    about = {"kind": "selection", "name": name, "query": {}, "selection_id": digest([name, rows, seed])}
    write_table(table, Workspace(folder).selection(name), about)
    store = Workspace(folder).originals
    cache = PictureCache(store / "built.sqlite", PictureSettings(size=SIDE).about(), durable=False)
    with Ledger(store / "ledger.sqlite") as ledger:
        each = (
            (url, made) for url, made, no in zip(urls, pictures(rows, seed, distinct), refused, strict=True) if not no
        )
        for batch in batched(each, 10_000):
            files = [(sha256(url.encode()).hexdigest(), url, made) for url, made in batch]
            cache.add((file, made) for file, _, made in files)
            ledger.record(
                Row(url, "ok", None, 200, 1, file, None, len(made.data), "image/jpeg", "JPEG", SIDE, SIDE, None, "2026")
                for file, url, made in files
            )
    cache.close(remove=False)


def bamkit(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "bamkit", words[0], "-w", str(folder), *words[1:]]


def row(label: str, rows: int, command: list[str], folder: Path) -> None:
    found = measure(command, folder)
    print(f"{label:44} {rows:>10,} {found['cpu']:>9.1f} {found['megabytes']:>8,.0f}", flush=True)


def measured(folder: Path, what: str, rows: int) -> None:
    """All commands of one kind on one workspace."""
    names = [("one", 0.1)] if what == "fetch" else [("one", 0.1), ("two", 0.6)]
    for name, flowers in names:
        maker = [sys.executable, __file__, what, "--make", str(folder), name, str(flowers), "--rows", str(rows)]
        subprocess.run(maker, check=True)
    row("fetch", rows, bamkit(folder, "fetch", "--size", str(SIDE)), folder)
    if what == "fetch":
        row("fetch again: nothing to do", rows, bamkit(folder, "fetch"), folder)
        return
    # Mirrored pictures lie in both, so the check ends with exit status 1.
    check = " ".join([*bamkit(folder, "check", "--group-by", "project", "--page"), "|| test $? = 1"])
    row("check --group-by project --page", rows, ["sh", "-c", check], folder)
    row("report --no-database", rows, bamkit(folder, "report", "--no-database"), folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["fetch", "domains"])
    parser.add_argument("--rows", type=int, nargs="+", default=[23_000, 230_000])
    parser.add_argument("--keep", type=Path, help="Leave the workspaces in this folder.")
    parser.add_argument("--make", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make:
        folder, name, flowers = given.make
        make(Path(folder), name, given.rows[0], float(flowers), given.what == "domains")
        return
    print(f"{'':44} {'rows':>10} {'CPU s':>9} {'MB':>8}   load average {os.getloadavg()[0]:.1f}", flush=True)
    for rows in given.rows:
        with tempfile.TemporaryDirectory() as name:
            folder = given.keep / f"{given.what}-{rows}" if given.keep else Path(name)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "bamkit.toml").touch()
            measured(folder, given.what, rows)


if __name__ == "__main__":
    main()
